// SPDX-License-Identifier: Apache-2.0
#import "NSConcreteTask.h"

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

@implementation NSTask (ApplevzURLs)

@dynamic executableURL, currentDirectoryURL, terminationHandler, qualityOfService;

/// GNUstep's takes SIGCHLD.
+ (void)initialize {
}

+ (instancetype)allocWithZone:(NSZone *)zone {
    if (self == [NSTask class])
        return (id)[NSConcreteTask allocWithZone:zone];
    return [super allocWithZone:zone];
}

+ (NSTask *)launchedTaskWithExecutableURL:(NSURL *)url
                                arguments:(NSArray<NSString *> *)arguments
                                    error:(NSError **)error
                       terminationHandler:(void (^)(NSTask *))terminationHandler {
    NSTask *task = [[self alloc] init];
    task.executableURL = url;
    task.arguments = arguments;
    task.terminationHandler = terminationHandler;
    return [task launchAndReturnError:error] ? task : nil;
}

+ (NSTask *)launchedTaskWithLaunchPath:(NSString *)path arguments:(NSArray<NSString *> *)arguments {
    NSTask *task = [[self alloc] init];
    task.launchPath = path;
    task.arguments = arguments;
    [task launch];
    return task;
}

- (BOOL)launchAndReturnError:(NSError **)error {
    (void)error;
    [self doesNotRecognizeSelector:_cmd];
    return NO;
}

@end
