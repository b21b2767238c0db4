// SPDX-License-Identifier: Apache-2.0
// Says of each line that it is given, in hexadecimal bytes, how a kernel takes it apart, one word a line of output: a
// name, and after an equals sign the value, in such bytes too, and "open" behind a word with a quote that has no end.
// Then what becomes of the line when words are added, whether there is a counter's rate in that, and whether it needs a
// PC; an empty line where it is not in UTF-8, and a NUL. Without an argument it has nothing to say.
#import "virtualization_support.h"
#import "host/linux_kernel/LinuxKernelParameters.h"
#import "configuration/boot/QEMULinuxCommandLine.h"

static void tellBytes(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        printf("%02x", (unsigned char)bytes[i]);
    }
}

static void tellWords(const char *line, size_t length) {
    // Where a byte too much is read the sanitizer says so.
    char *exact = malloc(length > 0 ? length : 1);
    memcpy(exact, line, length);
    linux_kernel_parameter parameter;
    for (size_t position = 0; linux_next_kernel_parameter(exact, length, &position, &parameter);) {
        CHECK(parameter.start < parameter.end && parameter.end <= length && position == parameter.end);
        tellBytes(parameter.name, parameter.name_length);
        if (parameter.value) {
            putchar('=');
            tellBytes(parameter.value, parameter.value_length);
        }
        puts(parameter.is_open ? " open" : "");
    }
    free(exact);
}

static void tell(const char *hexadecimal) {
    size_t length = strlen(hexadecimal) / 2;
    char *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        sscanf(hexadecimal + 2 * i, "%2hhx", (unsigned char *)bytes + i);
    }
    tellWords(bytes, length);
    NSString *line = [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding];
    free(bytes);
    if (line) {
        NSString *added = QEMULinuxCommandLineByAdding(line, @[ @"tsc_early_khz=7", @"tsc=reliable", @"no-parts" ]);
        NSData *data = [added dataUsingEncoding:NSUTF8StringEncoding];
        tellBytes(data.bytes, data.length);
        printf(" %d %d", QEMULinuxCommandLineHasCounterRate(added), QEMULinuxCommandLineNeedsPC(added));
    }
    putchar('\0');
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        @autoreleasepool {
            tell(arguments[i]);
        }
    }
    return failures > 0;
}
