// SPDX-License-Identifier: Apache-2.0
#import "forked_error.h"
#import "errors.h"
#import "text.h"
#import <stdatomic.h>
#import <stdlib.h>

enum { TEXTS = APPLEVZ_ERROR_TEXT_USER_INFO + 1 };

typedef struct {
    CFErrorRef error;
    uint64_t kind;
    char *texts[TEXTS]; // NULL for one that it has not
    size_t lengths[TEXTS];
} prepared_error;

// Made once, and kept. No lock: a child could inherit one that is held, and would wait for a thread that it does not
// have.
static _Atomic(prepared_error *) prepared;

static prepared_error *create(void) {
    prepared_error *made = calloc(1, sizeof *made);
    if (made == NULL)
        abort();
    made->error = (__bridge_retained CFErrorRef)applevz_error(
        AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_FORKED, @"Virtual machines cannot be used in this process.",
        @"The process was forked from one that had begun to use virtual machines; its machines, threads and queues "
        @"stayed "
        @"there.",
        @"Start the child anew (multiprocessing's \"spawn\" method, or subprocess), or fork before the first machine "
        @"is made.");
    made->kind = applevz_error_kind(made->error);
    for (int which = 0; which < TEXTS; which++)
        made->texts[which] =
            applevz_error_copy_text(made->error, (enum applevz_error_text)which, &made->lengths[which]);
    // What counts its references has been found once, and is found again without a look at the class.
    CFRelease(CFRetain(made->error));
    return made;
}

static void destroy(prepared_error *made) {
    for (int which = 0; which < TEXTS; which++)
        free(made->texts[which]);
    CFRelease(made->error);
    free(made);
}

void applevz_forked_error_prepare(void) {
    if (atomic_load(&prepared) != NULL)
        return;
    prepared_error *made = create(), *present = NULL;
    if (!atomic_compare_exchange_strong(&prepared, &present, made))
        destroy(made); // another thread was first
}

CFErrorRef applevz_forked_error_copy(void) {
    return (CFErrorRef)CFRetain(atomic_load(&prepared)->error);
}

bool applevz_is_forked_error(CFErrorRef error) {
    return error == atomic_load(&prepared)->error;
}

uint64_t applevz_forked_error_kind(void) {
    return atomic_load(&prepared)->kind;
}

char *applevz_forked_error_copy_text(enum applevz_error_text which, size_t *length) {
    const prepared_error *error = atomic_load(&prepared);
    if ((int)which < 0 || (int)which >= TEXTS || error->texts[which] == NULL)
        return NULL;
    return applevz_copy_bytes(error->texts[which], error->lengths[which], length);
}
