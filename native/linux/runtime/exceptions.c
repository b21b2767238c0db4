// SPDX-License-Identifier: Apache-2.0
// Exceptions. libobjc throws, and its personality routine, which reads clang's tables too, hands the landing pad of a
// handler the thrown object itself. There is nothing to begin or to end, then, and throwing again is throwing.
//
// The personality routine looks handlers up as classes by name. clang writes `@catch (id e)` as the class "@id", so
// there is to be one, and the matcher says that any object is of it.
#include "runtime.h"

#include <unwind.h>

#pragma GCC visibility push(default)
_Unwind_Reason_Code __gnu_objc_personality_v0(int version, _Unwind_Action actions,
                                              _Unwind_Exception_Class exception_class,
                                              struct _Unwind_Exception *exception, struct _Unwind_Context *context);
void objc_exception_throw(id exception) __attribute__((noreturn));
typedef int (*exception_matcher)(Class handled, id exception);
exception_matcher objc_setExceptionMatcher(exception_matcher matcher);
#pragma GCC visibility pop

#pragma GCC visibility push(hidden)

static Class any_class;
static exception_matcher matches_class;

static int matches(Class handled, id exception) {
    return handled == any_class || matches_class(handled, exception);
}

void runtime_start_exceptions(void) {
    static const char any_class_name[] = "@id";
    if (objc_lookUpClass(any_class_name)) {
        return; // another copy of the layer did all this
    }
    any_class = objc_allocateClassPair(objc_getRequiredClass("NSObject"), any_class_name, 0);
    objc_registerClassPair(any_class);
    matches_class = objc_setExceptionMatcher(matches);
}

_Unwind_Reason_Code __gnustep_objc_personality_v0(int version, _Unwind_Action actions,
                                                  _Unwind_Exception_Class exception_class,
                                                  struct _Unwind_Exception *exception,
                                                  struct _Unwind_Context *context) {
    return __gnu_objc_personality_v0(version, actions, exception_class, exception, context);
}

id objc_begin_catch(id exception) {
    return exception;
}

void objc_end_catch(void) {}

void objc_exception_rethrow(id exception) {
    objc_exception_throw(exception);
}

#pragma GCC visibility pop
