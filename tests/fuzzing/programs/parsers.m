// SPDX-License-Identifier: Apache-2.0
// What others send or leave to be read, made up by libFuzzer: native_readers.py builds this program, knows what to
// begin with, and says how it is run. FUZZ_TARGET names the reader.
#import "guest/dhcp_leases.h"
#import "guest/guest_agent.h"
#import "host/HostDecompression.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#import "QEMU/program/QEMUFirmware.h"
#import "host/HostForwardedPeers.h"
#import "host/HostOverlayImage.h"
#import "host/LinuxKernelImage.h"
#import "QEMU/saved_states/QEMUSavedState.h"
#import "QEMU/saved_states/QEMUSavedStateFormat.h"
#import "QEMU/saved_states/QEMUSavedStateInspection.h"
#import "QEMU/program/QEMUVariableStore.h"
#import "QEMU/program/QEMUVersion.h"
#import "QEMU/program/QMPConnection.h"
#import "machine/VZVirtualMachine+Private.h"
#import <dispatch/dispatch.h>
#import <fcntl.h>
#import <json_reader.h>
#import <json_values.h>
#import <shown_text.h>
#import <stdlib.h>
#import <string.h>
#import <sys/socket.h>
#import <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

@interface VZVirtualMachine (Fuzzing)
- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;
@end

@interface QEMUFirmware (Fuzzing)
+ (instancetype)firmwareOfDescriptor:(nullable NSDictionary *)descriptor;
@end

@interface AppleVZGuestAgent (Fuzzing)
- (void)receive;
@end

static void hold(BOOL condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "%s does not hold\n", what);
    abort();
}
#define HOLD(condition) hold((condition), #condition)

static char file_name[] = "/tmp/applevz-fuzz-XXXXXX";

static void remove_file(void) {
    unlink(file_name);
}

/// A file with those bytes, and its descriptor.
static int file_of(const void *bytes, size_t length, NSString **path) {
    static int file = -1;
    if (file < 0) {
        file = mkstemp(file_name);
        HOLD(file >= 0);
        atexit(remove_file);
    }
    HOLD(ftruncate(file, 0) == 0 && pwrite(file, bytes, length, 0) == (ssize_t)length);
    if (path != NULL)
        *path = [NSString stringWithUTF8String:file_name];
    return file;
}

#pragma mark Readers

static void look_through(id value, unsigned depth) {
    HOLD(depth <= APPLEVZ_JSON_DEPTH);
    if ([value isKindOfClass:[NSString class]]) {
        HOLD([value UTF8String] != NULL &&
             strlen([value UTF8String]) == [value lengthOfBytesUsingEncoding:NSUTF8StringEncoding]);
        HOLD(applevz_shown_words(value).length <= 6 * APPLEVZ_LONGEST_SHOWN + 3);
    }
    if ([value isKindOfClass:[NSArray class]])
        for (id element in value)
            look_through(element, depth + 1);
    if ([value isKindOfClass:[NSDictionary class]])
        for (NSString *name in value) {
            bool boolean;
            int64_t integer;
            uint64_t number;
            int kinds = (applevz_json_text(value, name) != nil) + (applevz_json_array(value, name) != nil) +
                        (applevz_json_object(value, name) != nil) + applevz_json_boolean(value, name, &boolean) +
                        (applevz_json_integer(value, name, INT64_MIN, INT64_MAX, &integer) ||
                         applevz_json_unsigned(value, name, &number));
            HOLD(kinds <= 1);
            look_through(name, depth);
            look_through([value objectForKey:name], depth + 1);
        }
}

static void read_json(const uint8_t *bytes, size_t length) {
    NSString *reason = nil;
    id value = applevz_json_read(bytes, length, 1 << 20, &reason);
    HOLD((value == nil) == (reason != nil));
    look_through(value, 0);
}

static VZVirtualMachine *machine_with_devices(dispatch_queue_t queue) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    NSURL *kernel = [NSURL fileURLWithPath:[NSString stringWithUTF8String:getenv("FUZZ_KERNEL")]];
    configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
    configuration.memorySize = UINT64_C(256) << 20;
    VZVirtioConsoleDeviceConfiguration *console = [[VZVirtioConsoleDeviceConfiguration alloc] init];
    console.ports[0] = [[VZVirtioConsolePortConfiguration alloc] init];
    configuration.consoleDevices = @[ console ];
    VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
    network.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
    configuration.networkDevices = @[ network ];
    configuration.usbControllers = @[ [[VZXHCIControllerConfiguration alloc] init] ];
    return [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
}

/// A conversation with a QEMU, as its machine has it, after a few commands.
static void read_qmp(const uint8_t *bytes, size_t length) {
    static dispatch_queue_t queue;
    static VZVirtualMachine *machine;
    if (queue == nil) {
        queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        dispatch_sync(queue, ^{
            machine = machine_with_devices(queue);
        });
    }
    int ends[2];
    HOLD(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    int ours = ends[0], theirs = ends[1];
    dispatch_sync(queue, ^{
        @autoreleasepool {
            QMPConnection *connection =
                [[QMPConnection alloc] initWithSocket:[[HostDescriptor alloc] initWithDescriptor:ours]
                                                queue:queue
                                                 name:@"QEMU 1"];
            __block int answers = 0;
            connection.greetingHandler = ^(NSDictionary *greeting) {
                if (QEMUVersionErrorOfGreeting(greeting) == nil)
                    look_through(QEMUVersionOfGreeting(greeting), 0);
            };
            connection.eventHandler = ^(NSString *name, NSDictionary *data) {
                [machine takeEvent:name data:data];
            };
            connection.endHandler = ^(NSError *error) {
                // Nothing was left to the guard: each type was looked at.
                HOLD([error.localizedFailureReason rangeOfString:@"could not be dealt with"].location == NSNotFound ||
                     error.localizedFailureReason == nil);
            };
            for (int i = 0; i < 3; i++)
                [connection execute:@"query-status"
                          arguments:nil
                         descriptor:nil
                            seconds:60
                         completion:^(id result, NSError *error) {
                             answers++;
                             look_through(result, 1);
                             if (error != nil)
                                 look_through(error.localizedFailureReason, 0);
                         }];
            (void)!write(theirs, bytes, length);
            [connection drain];
            shutdown(theirs, SHUT_WR);
            [connection drain];
            [connection closeWithError:[NSError errorWithDomain:NSPOSIXErrorDomain code:1 userInfo:nil]];
            HOLD(answers == 3);
        }
    });
    close(theirs);
}

/// A guest's agent, from before it is synchronized, or after.
static void read_agent(const uint8_t *bytes, size_t length) {
    NSError *error = nil;
    AppleVZGuestAgent *agent = [[AppleVZGuestAgent alloc] initWithError:&error];
    HOLD(agent != nil);
    VZFileHandleSerialPortAttachment *attachment = (VZFileHandleSerialPortAttachment *)agent.attachment;
    int end = attachment.fileHandleForWriting.fileDescriptor;
    fcntl(end, F_SETFL, O_NONBLOCK);
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    dispatch_sync(queue, ^{
        [agent attachToQueue:queue
                clockHandler:^(NSError *failure) {
                    if (failure != nil)
                        look_through(failure.localizedFailureReason, 0);
                    HOLD([failure.localizedFailureReason rangeOfString:@"could not be dealt with"].location ==
                             NSNotFound ||
                         failure == nil);
                }];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESTORING to:APPLEVZ_MACHINE_STATE_PAUSED];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESUMING to:APPLEVZ_MACHINE_STATE_RUNNING];
        char request[512] = {0};
        HOLD(read(end, request, sizeof request - 1) > 0);
        const char *number = strstr(request, "\"id\":");
        HOLD(number != NULL);
        if (length > 0 && bytes[0] & 1)
            dprintf(end, "\xFF{\"return\": %llu}\n", strtoull(number + 5, NULL, 10));
        (void)!write(end, bytes, length);
        for (size_t i = 0; i < length / 4096 + 3; i++)
            [agent receive];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RUNNING to:APPLEVZ_MACHINE_STATE_STOPPED];
    });
}

static void read_leases(const uint8_t *bytes, size_t length) {
    NSString *text = [[NSString alloc] initWithBytes:bytes length:length encoding:NSISOLatin1StringEncoding];
    NSString *address = applevz_leased_address(text, @"52:54:00:0a:0b:0c");
    if (address != nil)
        look_through(address, 0);
    int number = 0;
    NSString *path = nil;
    file_of(bytes, length, &path);
    HOLD(applevz_text_of_leases(path, &number).length == length && number == 0);
}

static void look_into_state(NSString *path, uint64_t size) {
    NSError *error = nil;
    BOOL is_state = YES;
    QEMUSavedStateInspection *state = [[QEMUSavedStateInspection alloc] initWithPath:path
                                                                             isState:&is_state
                                                                               error:&error];
    HOLD((state == nil) == (error != nil || !is_state));
    if (state == nil)
        return;
    HOLD([NSJSONSerialization dataWithJSONObject:[state applevzDescription] options:0 error:&error] != nil);
    uint64_t done = 0;
    BOOL whole = YES;
    while (whole && done < size) {
        uint64_t before = done;
        whole = [state applevzCheckNext:4096 done:&done error:&error];
        HOLD(!whole || (done >= before && done <= size));
    }
    HOLD(whole || error.localizedFailureReason.length < 2000);
}

/// With checksums that are right, where the first byte says so: whoever makes a file can make those.
static void read_state(const uint8_t *bytes, size_t length) {
    if (length < 1)
        return;
    NSMutableData *data = [NSMutableData dataWithBytes:bytes + 1 length:length - 1];
    qemu_saved_state_trailer trailer;
    if (bytes[0] & 1 && data.length >= sizeof trailer) {
        char *end = (char *)data.mutableBytes + data.length - sizeof trailer;
        memcpy(&trailer, end, sizeof trailer);
        trailer.version = QEMU_SAVED_STATE_VERSION;
        memcpy(trailer.magic, qemu_saved_state_magic, sizeof trailer.magic);
        if (bytes[0] & 2)
            trailer.memory_length = data.length - sizeof trailer - trailer.disks_length - trailer.stream_length -
                                    trailer.description_length;
        uint64_t description = trailer.description_length;
        if (description <= data.length - sizeof trailer)
            trailer.description_checksum = qemu_saved_state_checksum(end - description, description);
        if (description <= data.length - sizeof trailer &&
            trailer.stream_length <= data.length - sizeof trailer - description)
            trailer.stream_checksum =
                qemu_saved_state_checksum(end - description - trailer.stream_length, trailer.stream_length);
        trailer.trailer_checksum =
            qemu_saved_state_checksum(&trailer, offsetof(qemu_saved_state_trailer, trailer_checksum));
        memcpy(end, &trailer, sizeof trailer);
    }
    NSString *path = nil;
    file_of(data.bytes, data.length, &path);
    look_into_state(path, data.length);
    NSError *error = nil;
    QEMUSavedState *state = [[QEMUSavedState alloc] initWithPath:path memorySize:4096 error:&error];
    HOLD((state == nil) == (error != nil));
    if (state == nil) {
        HOLD(error.localizedFailureReason.length < 2000);
        return;
    }
    look_through(state.version, 0);
    NSArray *fields = @[ @[ @"memorySize", @"4096" ] ];
    NSError *refusal = [state errorOfFields:fields exempt:@[ @"MACAddress" ]];
    HOLD(refusal == nil || refusal.localizedFailureReason.length < 10000);
    if (refusal == nil)
        [state takeMemoryTo:nil error:&error];
    for (QEMUDiskLayer *layer in [state layersOfDisk:@"storageDevices[0].attachment"]) {
        HOLD(layer.length > 0 && layer.position + layer.length < data.length);
        [state takeLayer:layer to:nil error:&error];
    }
    HOLD([state streamWithError:&error] != nil);
}

static void read_variables(const uint8_t *bytes, size_t length) {
    int file = file_of(bytes, length, NULL);
    QEMUVariableStoreDamage(file, length);
}

static void read_overlay(const uint8_t *bytes, size_t length) {
    int file = file_of(bytes, length, NULL);
    host_overlay_base base = {0};
    uint64_t size = 0;
    if (host_overlay_read(file, 0, length, &size, &base) == NULL)
        HOLD(base.size > 0 && base.size % 512 == 0 && size % 512 == 0 && size >= base.size);
}

static void read_kernel(const uint8_t *bytes, size_t length) {
    int file = file_of(bytes, length, NULL);
    LinuxKernelImage image = LinuxKernelImageRecognize(file);
    HOLD(LinuxKernelImageKindDescription(image.kind) != nil);
    QEMUExpandedKernel *kernel = [[QEMUExpandedKernel alloc] initWithFile:file memorySize:16 << 20];
    (void)kernel;
}

static void read_compressed(const uint8_t *bytes, size_t length) {
    if (length < 2)
        return;
    size_t room = (size_t)bytes[0] << 8 | bytes[1];
    char *output = malloc(room + 1);
    host_decompress(bytes + 2, length - 2, output, room);
    free(output);
}

static void read_firmware(const uint8_t *bytes, size_t length) {
    NSDictionary *descriptor = applevz_json_read_object(bytes, length, 1 << 16, NULL);
    [QEMUFirmware firmwareOfDescriptor:descriptor];
}

static void read_peers(const uint8_t *bytes, size_t length) {
    char *text = strndup((const char *)bytes, length);
    host_tcp_line line;
    host_parse_tcp_line(text, &line);
    free(text);
}

static const struct {
    const char *name;
    void (*read)(const uint8_t *bytes, size_t length);
} targets[] = {
    {"json", read_json},
    {"qmp", read_qmp},
    {"agent", read_agent},
    {"leases", read_leases},
    {"state", read_state},
    {"kernel", read_kernel},
    {"compressed", read_compressed},
    {"variables", read_variables},
    {"overlay", read_overlay},
    {"firmware", read_firmware},
    {"peers", read_peers},
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static void (*chosen)(const uint8_t *, size_t);
    const char *name = getenv("FUZZ_TARGET");
    for (size_t i = 0; chosen == NULL && i < sizeof targets / sizeof *targets; i++)
        if (name != NULL && strcmp(targets[i].name, name) == 0)
            chosen = targets[i].read;
    if (chosen == NULL) {
        fputs("FUZZ_TARGET names no reader\n", stderr);
        exit(2);
    }
    @autoreleasepool {
        chosen(bytes, length);
    }
    return 0;
}
