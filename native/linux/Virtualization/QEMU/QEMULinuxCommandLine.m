// SPDX-License-Identifier: Apache-2.0
#import "QEMULinuxCommandLine.h"
#import "../VZConfiguration+Private.h"
#import "QEMUAccelerator.h"
#import "QEMUTimeStampCounter.h"

static NSString *const RateKey = @"tsc_early_khz";

NSArray<NSString *> *QEMULinuxCommandLineAdditions(void) {
    if (QEMUAccelerator.kvmMissingReason == nil)
        return @[];
    NSArray<NSString *> *faster = @[ @"cryptomgr.notests", @"noreplace-smp" ];
    uint64_t kilohertz = qemu_time_stamp_counter_kilohertz();
    if (kilohertz == 0)
        return faster;
    NSString *rate = [NSString stringWithFormat:@"%@=%llu", RateKey, (unsigned long long)kilohertz];
    return [@[ rate, @"tsc=reliable" ] arrayByAddingObjectsFromArray:faster];
}

static NSString *key_of(NSString *word) {
    return [word componentsSeparatedByString:@"="].firstObject;
}

NSString *QEMULinuxCommandLineByAdding(NSString *commandLine, QEMULinuxCommandLineResult *result) {
    // What follows "--" is the guest's init's, not the kernel's: the words go before it.
    NSRange end = [commandLine isEqualToString:@"--"] || [commandLine hasPrefix:@"-- "]
                      ? NSMakeRange(0, 0)
                      : [commandLine rangeOfString:@" -- "];
    if (end.location == NSNotFound && [commandLine hasSuffix:@" --"])
        end = NSMakeRange(commandLine.length - 3, 0);
    NSString *kernels = end.location == NSNotFound ? commandLine : [commandLine substringToIndex:end.location];
    NSString *inits = end.location == NSNotFound ? @"" : [commandLine substringFromIndex:end.location];

    NSCharacterSet *space = [NSCharacterSet whitespaceAndNewlineCharacterSet];
    NSMutableSet<NSString *> *keys = [NSMutableSet set];
    for (NSString *word in [kernels componentsSeparatedByCharactersInSet:space])
        [keys addObject:key_of(word)];
    NSMutableArray<NSString *> *parts = [NSMutableArray array];
    if (kernels.length > 0)
        [parts addObject:kernels];
    for (NSString *word in QEMULinuxCommandLineAdditions()) {
        if (![keys containsObject:key_of(word)]) {
            [parts addObject:word];
            [keys addObject:key_of(word)];
        }
    }
    NSString *added = [parts componentsJoinedByString:@" "];
    if (inits.length > 0)
        added = [inits hasPrefix:@" "] || added.length == 0 ? [added stringByAppendingString:inits]
                                                            : [NSString stringWithFormat:@"%@ %@", added, inits];
    result->fits = [added lengthOfBytesUsingEncoding:NSUTF8StringEncoding] <= VZLinuxMaximumCommandLineLength;
    result->knowsCounterRate = result->fits && [keys containsObject:RateKey];
    return result->fits ? added : commandLine;
}
