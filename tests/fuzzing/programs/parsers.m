// SPDX-License-Identifier: Apache-2.0
// What others send or leave to be read, made up by libFuzzer: native_readers.py builds this program, knows what to
// begin with, and says how it is run. FUZZ_TARGET names the reader.
#import "fuzz.h"
#import "guest/dhcp_leases.h"
#import "configuration/VZConfiguration+Private.h"
#import "configuration/boot/QEMULinuxCommandLine.h"
#import "host/HostDecompression.h"
#import "host/HostForwardedPeers.h"
#import "host/HostOverlayImage.h"
#import "host/HostProcess.h"
#import "host/HostProgramFile.h"
#import "host/HostUsage.h"
#import "host/linux_kernel/LinuxKernelImage.h"
#import "host/linux_kernel/LinuxKernelParameters.h"
#import "QEMU/boot/QEMUExpandedKernel.h"
#import "QEMU/process/QEMUEnd.h"
#import "QEMU/program/QEMUFirmware.h"
#import "QEMU/program/QEMUVariableStore.h"
#import "QEMU/program/QEMUVersion.h"
#import "QEMU/saved_states/QEMUSavedState.h"
#import "QEMU/saved_states/QEMUSavedStateFormat.h"
#import "QEMU/saved_states/QEMUSavedStateInspection.h"
#import "QEMU/sharing/QEMUFileServer.h"
#import "QEMU/storage/QEMUStartedDisk.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNetworkBlockDeviceURL+Private.h"
#import <dispatch/descriptor.h>
#import <fcntl.h>
#import <json_reader.h>
#import <json_values.h>
#import <limits.h>
#import <shown_text.h>
#import <string.h>
#import <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

@interface QEMUFirmware (Fuzzing)
+ (instancetype)firmwareOfDescriptor:(nullable NSDictionary *)descriptor;
@end

@interface QEMUFileServer (Fuzzing)
- (NSError *)errorOfExit:(host_exit)exit;
@end

/// An address that is no more than its text: NSURL itself refuses some.
@interface TextURL : NSURL
@property (copy) NSString *text;
@end

@implementation TextURL
- (NSString *)absoluteString {
    return self.text;
}
@end

static char file_name[] = "/tmp/applevz-fuzz-XXXXXX";

static void remove_file(void) {
    unlink(file_name);
}

int file_of(const void *bytes, size_t length, NSString **path) {
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

NSString *text_of(const uint8_t *bytes, size_t length) {
    return [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding];
}

void look_at_error(NSError *error) {
    for (NSString *words in @[
             error.localizedDescription ?: @"", error.localizedFailureReason ?: @"",
             error.localizedRecoverySuggestion ?: @""
         ]) {
        HOLD(words.length < 10000);
        look_through(words, 0);
    }
}

#pragma mark Readers

void look_through(id value, unsigned depth) {
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

static void read_url(const uint8_t *bytes, size_t length) {
    TextURL *url = [[TextURL alloc] initWithString:@"nbd://server/"];
    url.text = text_of(bytes, length);
    NSString *reason = nil;
    VZNetworkBlockDeviceURL *server = [[VZNetworkBlockDeviceURL alloc] initWithURL:url reason:&reason];
    HOLD((server == nil) == (reason != nil));
    if (server == nil) {
        HOLD(reason.length < 10000);
        look_through(reason, 0);
        return;
    }
    HOLD((server.host != nil) != (server.socketPath != nil));
    HOLD(server.host == nil || (server.host.length > 0 && server.port >= 1 && server.port <= 65535));
    HOLD(server.socketPath == nil || [server.socketPath hasPrefix:@"/"]);
    HOLD([server.exportName lengthOfBytesUsingEncoding:NSUTF8StringEncoding] <= 4096);
    for (NSString *part in @[ server.host ?: @"", server.socketPath ?: @"", server.exportName, server.canonicalText ])
        look_through(part, 0);
}

static void read_command_line(const uint8_t *bytes, size_t length) {
    const char *text = (const char *)bytes;
    linux_kernel_parameter parameter;
    uint32_t number;
    size_t end = 0;
    for (size_t position = 0; linux_next_kernel_parameter(text, length, &position, &parameter); end = position) {
        HOLD(parameter.start >= end && parameter.end > parameter.start && parameter.end == position);
        HOLD(parameter.end <= length && parameter.name + parameter.name_length <= text + length);
        if (parameter.value != NULL) {
            HOLD(parameter.value + parameter.value_length <= text + length);
            linux_kernel_parameter_number(parameter.value, parameter.value_length, &number);
        }
    }
    NSString *line = text_of(bytes, length);
    if (line == nil || memchr(bytes, 0, length) != NULL)
        return;
    QEMULinuxCommandLineNeedsPC(line);
    NSArray<NSString *> *words = @[ @"tsc_early_khz=2000000", @"tsc=reliable" ];
    NSString *added = QEMULinuxCommandLineByAdding(line, words);
    look_through(added, 0);
    // What was added is seen as the kernel's own, and once.
    HOLD([QEMULinuxCommandLineByAdding(added, words) isEqualToString:added]);
    if (![added isEqualToString:line])
        HOLD(added.length > line.length &&
             [added lengthOfBytesUsingEncoding:NSUTF8StringEncoding] <= VZLinuxMaximumCommandLineLength);
    QEMULinuxCommandLineHasCounterRate(added);
}

static void read_program(const uint8_t *bytes, size_t length) {
    NSString *path = nil;
    file_of(bytes, length, &path);
    char interpreter[PATH_MAX];
    memset(interpreter, 'x', sizeof interpreter);
    if (host_program_is_native(path.UTF8String, interpreter))
        HOLD(memchr(interpreter, 0, sizeof interpreter) != NULL);
    host_glibc wanted = host_program_glibc(path.UTF8String);
    host_has_glibc(wanted);
}

/// What a process that ends has said, and what is made of it.
static void read_words(const uint8_t *bytes, size_t length) {
    HostProcess *process = [HostProcess alloc];
    int file = descriptor_above_standard(dup(file_of(bytes, length, NULL)));
    HOLD(file >= 0 && lseek(file, 0, SEEK_SET) == 0);
    [process setValue:[[HostDescriptor alloc] initWithDescriptor:file] forKey:@"_output"];
    [process setValue:[NSMutableData data] forKey:@"_words"];
    NSString *words = process.lastWords;
    // As they came, with bytes that end a string of C, too. What is made of them for an error is looked at.
    HOLD(words.length <= 4096);
    host_exit exit = {.known = true, .status = 1};
    QEMUEnd *end = [[QEMUEnd alloc] initWithExit:exit failure:nil lastWords:words];
    look_at_error(end.startError);
    look_at_error(end.stopError);
    QEMUFileServer *server = [QEMUFileServer alloc];
    [server setValue:process forKey:@"_process"];
    look_at_error([server errorOfExit:exit]);
    NSURL *url = [NSURL URLWithString:@"nbd+unix:///disk?socket=/run/server"];
    NSError *error = nil;
    VZNetworkBlockDeviceStorageDeviceAttachment *disk =
        [[VZNetworkBlockDeviceStorageDeviceAttachment alloc] initWithURL:url error:&error];
    HOLD(disk != nil);
    for (VZStorageDeviceAttachment *attachment in @[ disk, [NSNull null] ]) {
        QEMUStartedDisk *started =
            [[QEMUStartedDisk alloc] initWithProperty:@"storageDevices[0].attachment"
                                                shown:@"\"/disk\""
                                                 node:@"disk0"
                                               option:@"{\"node-name\":\"disk0\"}"
                                                paths:@[ @"/proc/self/fd/5" ]
                                           attachment:attachment == (id)[NSNull null] ? nil : attachment];
        look_at_error([started startErrorOfLastWords:words]);
    }
    look_at_error(QEMUNegotiationError(QEMUStartFailure, @"storageDevices[0].attachment.URL", disk, words));
    look_at_error(QEMULockedDiskError(@"storageDevices[0].attachment", @"\"/disk\"", words));
    QEMUVersionIsAtLeast(words, 9, 1);
}

static void read_usage(const uint8_t *bytes, size_t length) {
    char *text = strndup((const char *)bytes, length);
    uint64_t user, system;
    host_interface_usage usage;
    host_parse_process_times(text, &user, &system);
    host_parse_interface(text, "tap0", &usage);
    free(text);
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
    {"usage", read_usage},
    {"url", read_url},
    {"command-line", read_command_line},
    {"program", read_program},
    {"words", read_words},
    {"answers", read_answers},
    {"calls", read_calls},
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
