// SPDX-License-Identifier: Apache-2.0
// What the programs that use the C interface of native/bridge share.
#ifndef BRIDGE_SUPPORT_H
#define BRIDGE_SUPPORT_H

#include "applevz.h"
#include "../checks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void succeed(CFErrorRef error, int line) {
    if (error == NULL)
        return;
    size_t length = 0;
    char *reason = applevz_error_copy_text(error, APPLEVZ_ERROR_TEXT_FAILURE_REASON, &length);
    fprintf(stderr, "line %d: code %lld: %s\n", line, (long long)applevz_error_code(error), reason ? reason : "");
    exit(1);
}
#define SUCCEED(call) succeed((call), __LINE__)

/// What the operation completed with, which ends.
static inline CFErrorRef error_of(applevz_operation *operation) {
    CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
    CFErrorRef error = applevz_operation_copy_error(operation);
    applevz_operation_release(operation);
    return error;
}

static inline CFErrorRef perform(CFErrorRef (*verb)(applevz_machine *, applevz_operation **),
                                 applevz_machine *machine) {
    applevz_operation *operation = NULL;
    CFErrorRef error = verb(machine, &operation);
    return error ? error : error_of(operation);
}

/// Of the least machine that boots that kernel.
static inline applevz_configuration *configuration_create(const char *kernel) {
    applevz_configuration *configuration = NULL;
    SUCCEED(applevz_configuration_create(&configuration));
    SUCCEED(applevz_configuration_set_cpu_count(configuration, 1));
    SUCCEED(applevz_configuration_set_memory_size(configuration, UINT64_C(256) << 20));
    SUCCEED(
        applevz_configuration_set_linux_boot_loader(configuration, kernel, strlen(kernel), NULL, 0, "quiet", 5, true));
    return configuration;
}

#endif
