// SPDX-License-Identifier: Apache-2.0
#import "QEMUNetworkDiskWatch.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <json_values.h>
#import <shown_text.h>

enum { SECTOR_SIZE = 512, SECONDS_BETWEEN_READS = 1 };

@implementation QEMUNetworkDiskWatch {
    VZNetworkBlockDeviceStorageDeviceAttachment *_attachment;
    NSString *_node;
    NSString *_sector;  // a node of the first sector, while it is being read
    NSString *_nowhere; // a node that it is read to
    NSString *_job;
    QEMUInstance *_instance;
    BOOL _isAway; // the delegate was told so
    BOOL _isReading;
    BOOL _isRead; // the sector, by the job that is coming to its end
    void (^_endCompletion)(void);
}

- (instancetype)initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment node:(NSString *)node {
    self = [super init];
    if (self != nil) {
        _attachment = attachment;
        _node = node;
        _sector = [node stringByAppendingString:@"-sector"];
        _nowhere = [node stringByAppendingString:@"-nowhere"];
        _job = [node stringByAppendingString:@"-read"];
    }
    return self;
}

#pragma mark What is told

- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    [self tellConnected];
}

- (void)instanceEnded {
    _instance = nil;
    _isAway = _isReading = _isRead = NO;
    [self finishEnding];
}

- (void)tellConnected {
    id<VZNetworkBlockDeviceStorageDeviceAttachmentDelegate> delegate = _attachment.delegate;
    if ([delegate respondsToSelector:@selector(attachmentWasConnected:)])
        [delegate attachmentWasConnected:_attachment];
}

- (void)tellAway:(NSString *)words {
    id<VZNetworkBlockDeviceStorageDeviceAttachmentDelegate> delegate = _attachment.delegate;
    if ([delegate respondsToSelector:@selector(attachment:didEncounterError:)])
        [delegate attachment:_attachment
            didEncounterError:VZErrorWithReason(
                                  VZErrorNetworkBlockDeviceDisconnected, @"The network block device was disconnected.",
                                  [NSString
                                      stringWithFormat:@"The server of %@ has been away for longer than %g s: %@.",
                                                       VZQuoted(_attachment.URL.absoluteString), _attachment.timeout,
                                                       words],
                                  @"What the guest reads and writes fails until the server is back.", nil)];
}

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    if ([name isEqualToString:@"BLOCK_IO_ERROR"] && [applevz_json_text(data, @"node-name") isEqualToString:_node]) {
        [self read];
        return;
    }
    if (![applevz_json_text(data, @"device") isEqualToString:_job])
        return;
    if ([name isEqualToString:@"BLOCK_JOB_READY"] && _isReading && !_isRead) {
        _isRead = YES;
        [self execute:@"block-job-cancel" arguments:@{@"device" : _job}];
    } else if ([name isEqualToString:@"BLOCK_JOB_COMPLETED"]) {
        NSString *words = applevz_json_text(data, @"error");
        [self finishReading:words != nil ? applevz_shown_words(words) : nil];
    }
}

#pragma mark Reading

- (void)execute:(NSString *)command arguments:(NSDictionary *)arguments {
    [_instance execute:command
             arguments:arguments
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // what follows fails then, too
            }];
}

/// A mirror of the sector, which reads it and then stands ready for changes that there are not.
- (void)read {
    if (_instance == nil || _isReading || _endCompletion != nil)
        return;
    _isReading = YES;
    _isRead = NO;
    [self execute:@"blockdev-add"
        arguments:@{
            @"driver" : @"raw",
            @"node-name" : _sector,
            @"file" : _node,
            @"offset" : @0,
            @"size" : @(SECTOR_SIZE),
            @"read-only" : @YES,
        }];
    [self execute:@"blockdev-add"
        arguments:@{@"driver" : @"null-co", @"node-name" : _nowhere, @"size" : @(SECTOR_SIZE)}];
    __weak QEMUNetworkDiskWatch *weak_self = self;
    [_instance execute:@"blockdev-mirror"
             arguments:@{@"job-id" : _job, @"device" : _sector, @"target" : _nowhere, @"sync" : @"full"}
            completion:^(id result, NSError *refusal) {
                (void)result;
                if (refusal != nil)
                    [weak_self finishReading:refusal.localizedFailureReason];
            }];
}

- (void)finishReading:(NSString *)words {
    if (!_isReading)
        return;
    _isReading = NO;
    [self execute:@"blockdev-del" arguments:@{@"node-name" : _sector}];
    [self execute:@"blockdev-del" arguments:@{@"node-name" : _nowhere}];
    if (_endCompletion != nil) {
        [self finishEnding];
        return;
    }
    if (_isRead) {
        // If it was not away, the server itself refused what the guest wanted.
        if (_isAway)
            [self tellConnected];
        _isAway = NO;
        return;
    }
    if (!_isAway) {
        _isAway = YES;
        [self tellAway:words ?: @"it does not answer"];
    }
    __weak QEMUNetworkDiskWatch *weak_self = self;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, SECONDS_BETWEEN_READS * (int64_t)NSEC_PER_SEC),
                   _instance.queue ?: dispatch_get_main_queue(), ^{
                       [weak_self readAgain];
                   });
}

- (void)readAgain {
    if (_isAway)
        [self read];
}

#pragma mark The end

- (void)endWithCompletion:(void (^)(void))completion {
    _isAway = NO;
    _endCompletion = completion;
    if (!_isReading)
        [self finishEnding];
    else
        [self execute:@"block-job-cancel" arguments:@{@"device" : _job, @"force" : @YES}];
}

- (void)finishEnding {
    void (^completion)(void) = _endCompletion;
    _endCompletion = nil;
    if (completion != nil)
        completion();
}

@end
