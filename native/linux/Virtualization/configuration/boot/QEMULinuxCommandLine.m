// SPDX-License-Identifier: Apache-2.0
#import "QEMULinuxCommandLine.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "host/linux_kernel/LinuxKernelParameters.h"
#import "host/HostTimeStampCounter.h"
#import <string.h>

static const char rate_name[] = "tsc_early_khz";

NSArray<NSString *> *QEMULinuxCommandLineAdditions(void) {
    if (QEMUAccelerator.kvmMissingReason == nil)
        return @[];
    NSArray<NSString *> *faster = @[ @"cryptomgr.notests", @"noreplace-smp" ];
    uint64_t kilohertz = host_time_stamp_counter_kilohertz();
    if (kilohertz == 0)
        return faster;
    NSString *rate = [NSString stringWithFormat:@"%s=%llu", rate_name, (unsigned long long)kilohertz];
    return [@[ rate, @"tsc=reliable" ] arrayByAddingObjectsFromArray:faster];
}

typedef struct {
    const char *bytes;
    size_t length;
} Line;

/// Of text with a NUL behind it, which it points into.
static Line line_of(NSData *text) {
    return (Line){text.bytes, text.length > 0 ? text.length - 1 : 0};
}

/// The kernel's own parameters: the words up to "--".
static bool next_of_kernel(Line line, size_t *position, linux_kernel_parameter *parameter) {
    return linux_next_kernel_parameter(line.bytes, line.length, position, parameter) &&
           !linux_ends_kernel_parameters(parameter);
}

static BOOL has_name(Line line, const char *name, size_t length) {
    linux_kernel_parameter parameter;
    for (size_t position = 0; next_of_kernel(line, &position, &parameter);)
        if (linux_is_kernel_parameter_name(parameter.name, parameter.name_length, name, length))
            return YES;
    return NO;
}

static BOOL is_named(linux_kernel_parameter parameter, const char *name) {
    return linux_is_kernel_parameter_name(parameter.name, parameter.name_length, name, strlen(name));
}

static BOOL is_between_characters(Line line, size_t position) {
    return position == line.length || ((unsigned char)line.bytes[position] & 0xc0) != 0x80;
}

/// Where the kernel reads words that are put there: behind as many of the line's own as can be. Not inside of a
/// character, of some of which the kernel takes one byte for white space.
static size_t place_for_words(Line line) {
    size_t place = 0, end = 0;
    for (;;) {
        linux_kernel_parameter parameter;
        size_t position = end;
        bool found = linux_next_kernel_parameter(line.bytes, line.length, &position, &parameter);
        size_t next = found ? parameter.start : line.length;
        size_t gap = end;
        while (gap < next && !is_between_characters(line, gap))
            gap++;
        if (is_between_characters(line, gap))
            place = gap;
        if (!found || linux_ends_kernel_parameters(&parameter) || parameter.is_open)
            return place;
        end = parameter.end;
    }
}

static NSString *text_of(const char *bytes, size_t length) {
    return [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding];
}

NSString *QEMULinuxCommandLineByAdding(NSString *commandLine, NSArray<NSString *> *words) {
    NSData *data = VZUTF8Data(commandLine);
    Line line = line_of(data);
    NSMutableArray<NSString *> *missing = [NSMutableArray array];
    for (NSString *word in words) {
        const char *name = word.UTF8String;
        if (!has_name(line, name, strcspn(name, "=")))
            [missing addObject:word];
    }
    if (missing.count == 0)
        return commandLine;
    size_t place = place_for_words(line);
    BOOL needs_space = place < line.length && !linux_is_kernel_space(line.bytes[place]);
    NSString *added = [NSString stringWithFormat:@"%@%@%@%@%@", text_of(line.bytes, place), place > 0 ? @" " : @"",
                                                 [missing componentsJoinedByString:@" "], needs_space ? @" " : @"",
                                                 text_of(line.bytes + place, line.length - place)];
    return line_of(VZUTF8Data(added)).length <= VZLinuxMaximumCommandLineLength ? added : commandLine;
}

static BOOL has_value(linux_kernel_parameter parameter, const char *value) {
    return parameter.value_length == strlen(value) && memcmp(parameter.value, value, parameter.value_length) == 0;
}

BOOL QEMULinuxCommandLineHasCounterRate(NSString *commandLine) {
    NSData *data = VZUTF8Data(commandLine);
    Line line = line_of(data);
    linux_kernel_parameter parameter;
    uint32_t rate = 0;
    // The last one that is a number counts, and 0 is none.
    for (size_t position = 0; next_of_kernel(line, &position, &parameter);)
        if (parameter.value != NULL && is_named(parameter, rate_name))
            linux_kernel_parameter_number(parameter.value, parameter.value_length, &rate);
    return rate != 0;
}

/// Whether one of the value's parts, between which commas stand, is that word.
static BOOL has_part(linux_kernel_parameter parameter, const char *word) {
    const char *part = parameter.value, *end = part + parameter.value_length;
    while (part < end) {
        const char *comma = memchr(part, ',', (size_t)(end - part)) ?: end;
        if ((size_t)(comma - part) == strlen(word) && memcmp(part, word, strlen(word)) == 0)
            return YES;
        part = comma < end ? comma + 1 : end;
    }
    return NO;
}

/// Whether the kernel's get_option(), which reads as far as there are digits, may find 0.
static BOOL may_be_zero(linux_kernel_parameter parameter) {
    size_t sign = parameter.value_length > 0 && *parameter.value == '-';
    return parameter.value_length > sign && parameter.value[sign] == '0';
}

/// A kernel without other processors is one without the controller of interrupts that they share, too. Which of a
/// processor's features it is to be blind for, is not looked at: the timer may be among them.
static BOOL takes_away(linux_kernel_parameter parameter) {
    static const char *const words[] = {"nolapic", "disableapic", "nolapic_timer", "noapictimer",
                                        "noapic",  "nosmp",       "acpi_rsdp",     "clearcpuid"};
    static const char *const without_tables[] = {"off", "noirq", "ht"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_named(parameter, words[i]))
            return YES;
    if (parameter.value == NULL)
        return NO;
    for (size_t i = 0; i < sizeof without_tables / sizeof *without_tables; i++)
        if (is_named(parameter, "acpi") && has_value(parameter, without_tables[i]))
            return YES;
    return (is_named(parameter, "maxcpus") && may_be_zero(parameter)) ||
           (is_named(parameter, "pci") && has_part(parameter, "noacpi"));
}

BOOL QEMULinuxCommandLineNeedsPC(NSString *commandLine) {
    NSData *data = VZUTF8Data(commandLine);
    Line line = line_of(data);
    linux_kernel_parameter parameter;
    for (size_t position = 0; next_of_kernel(line, &position, &parameter);)
        if (takes_away(parameter))
            return YES;
    return NO;
}
