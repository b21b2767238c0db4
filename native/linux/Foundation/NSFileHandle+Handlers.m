// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import <dispatch/dispatch.h>

typedef void (^Handler)(NSFileHandle *fileHandle);

// What calls a file handle's handler.
@interface NSFileHandleReader : NSObject
@property (readonly, copy) Handler handler;
- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle handler:(Handler)handler;
- (void)stop;
@end

@implementation NSFileHandleReader {
    dispatch_source_t _source;
}

- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle handler:(Handler)handler {
    self = [super init];
    if (self) {
        _handler = [handler copy];
        _source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)fileHandle.fileDescriptor, 0,
                                         dispatch_queue_create("NSFileHandle.readabilityHandler", NULL));
        if (!_source)
            return nil;
        Handler called = _handler;
        // The descriptor must stay open until the source is through with it; its file handle sees to that.
        dispatch_source_set_event_handler(_source, ^{
            called(fileHandle);
        });
        dispatch_source_set_cancel_handler(_source, ^{
            (void)fileHandle;
        });
        dispatch_activate(_source);
    }
    return self;
}

- (void)stop {
    dispatch_source_cancel(_source);
}

@end

// Each reader keeps its file handle, so that none of these keys goes away.
static NSMapTable *readers(void) {
    static NSMapTable *table;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        table = [NSMapTable mapTableWithKeyOptions:NSMapTableObjectPointerPersonality
                                      valueOptions:NSMapTableStrongMemory];
    });
    return table;
}

@implementation NSFileHandle (ApplevzHandlers)

- (Handler)readabilityHandler {
    NSMapTable *table = readers();
    @synchronized(table) {
        return [(NSFileHandleReader *)[table objectForKey:self] handler];
    }
}

- (void)setReadabilityHandler:(Handler)handler {
    NSMapTable *table = readers();
    @synchronized(table) {
        [(NSFileHandleReader *)[table objectForKey:self] stop];
        NSFileHandleReader *reader =
            handler ? [[NSFileHandleReader alloc] initWithFileHandle:self handler:handler] : nil;
        if (reader)
            [table setObject:reader forKey:self];
        else
            [table removeObjectForKey:self];
    }
}

@end
