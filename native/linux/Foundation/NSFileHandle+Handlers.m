// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import <dispatch/dispatch.h>
#include <fcntl.h>
#include <unistd.h>

typedef void (^Handler)(NSFileHandle *fileHandle);

// What calls a file handle's handler.
@interface NSFileHandleCaller : NSObject
@property (readonly, copy) Handler handler;
- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle
                              type:(dispatch_source_type_t)type
                           handler:(Handler)handler;
- (void)stop;
@end

@implementation NSFileHandleCaller {
    dispatch_source_t _source;
}

- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle
                              type:(dispatch_source_type_t)type
                           handler:(Handler)handler {
    self = [super init];
    if (self) {
        _handler = [handler copy];
        // A duplicate, which stays open until the source is through with it: the file handle may be closed at any time.
        int descriptor = fcntl(fileHandle.fileDescriptor, F_DUPFD_CLOEXEC, 3);
        if (descriptor < 0)
            return nil;
        _source =
            dispatch_source_create(type, (uintptr_t)descriptor, 0, dispatch_queue_create("NSFileHandle.handler", NULL));
        if (!_source) {
            close(descriptor);
            return nil;
        }
        Handler called = _handler;
        dispatch_source_t source = _source;
        dispatch_source_set_event_handler(source, ^{
            if (dispatch_source_testcancel(source) == 0)
                called(fileHandle);
        });
        dispatch_source_set_cancel_handler(source, ^{
            close(descriptor);
        });
        dispatch_activate(source);
    }
    return self;
}

- (void)stop {
    dispatch_source_cancel(_source);
}

@end

// Each caller keeps its file handle, so that none of these keys goes away.
static NSMapTable *callers(dispatch_source_type_t type) {
    static NSMapTable *reading, *writing;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        reading = [NSMapTable mapTableWithKeyOptions:NSMapTableObjectPointerPersonality
                                        valueOptions:NSMapTableStrongMemory];
        writing = [NSMapTable mapTableWithKeyOptions:NSMapTableObjectPointerPersonality
                                        valueOptions:NSMapTableStrongMemory];
    });
    return type == DISPATCH_SOURCE_TYPE_READ ? reading : writing;
}

static Handler handler(NSFileHandle *fileHandle, dispatch_source_type_t type) {
    NSMapTable *table = callers(type);
    @synchronized(table) {
        return [(NSFileHandleCaller *)[table objectForKey:fileHandle] handler];
    }
}

static void set_handler(NSFileHandle *fileHandle, dispatch_source_type_t type, Handler handler) {
    NSMapTable *table = callers(type);
    @synchronized(table) {
        [(NSFileHandleCaller *)[table objectForKey:fileHandle] stop];
        NSFileHandleCaller *caller =
            handler ? [[NSFileHandleCaller alloc] initWithFileHandle:fileHandle type:type handler:handler] : nil;
        if (caller)
            [table setObject:caller forKey:fileHandle];
        else
            [table removeObjectForKey:fileHandle];
    }
}

@implementation NSFileHandle (ApplevzHandlers)

- (Handler)readabilityHandler {
    return handler(self, DISPATCH_SOURCE_TYPE_READ);
}

- (void)setReadabilityHandler:(Handler)readabilityHandler {
    set_handler(self, DISPATCH_SOURCE_TYPE_READ, readabilityHandler);
}

- (Handler)writeabilityHandler {
    return handler(self, DISPATCH_SOURCE_TYPE_WRITE);
}

- (void)setWriteabilityHandler:(Handler)writeabilityHandler {
    set_handler(self, DISPATCH_SOURCE_TYPE_WRITE, writeabilityHandler);
}

@end
