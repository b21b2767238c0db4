// SPDX-License-Identifier: Apache-2.0
// What the programs of this folder that check one thing after the other share. Each failed check is a line on standard
// error, and the exit status says whether there were any.
#include <stdio.h>
#include <stdlib.h>

static int failed_checks;

#define CHECK(...)                                                                                                     \
    do {                                                                                                               \
        if (!(__VA_ARGS__)) {                                                                                          \
            failed_checks++;                                                                                           \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__);                                          \
        }                                                                                                              \
    } while (0)

#define VERDICT (failed_checks == 0 ? EXIT_SUCCESS : EXIT_FAILURE)
