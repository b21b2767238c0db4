// SPDX-License-Identifier: Apache-2.0
// Makes a fork server of a program: loaded before the program's own libraries (LD_PRELOAD), it takes over when the
// dynamic linker is done with all of them and the program would begin, and makes a copy of the process for each request
// (host/HostForkProtocol.h). The copy goes on where the program would have begun. What the linker does, which is half
// of a QEMU's start, is done once; and what it wrote is in memory once.
//
// A copy is what fork() makes, but that it is a child of the host program: only that can be told how it ended, and it
// dies with that. So what the C library does in fork() is done here: handlers, the thread's number, its robust mutexes.
#include "host/HostChild.h"
#include "host/HostForkProtocol.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef int (*main_function)(int, char **, char **);
typedef int (*start_function)(main_function, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

#define SHOWN __attribute__((visibility("default")))

// ---- Handlers of forks ----

typedef void (*handler)(void);

static struct {
    handler prepare, parent, child;
} handlers[64];
static size_t handler_count;
static bool handlers_are_lost;

/// By this name pthread_atfork, which is a part of each library, comes to the C library's.
SHOWN int __register_atfork(handler prepare, handler parent, handler child, void *library) {
    int (*next)(handler, handler, handler, void *) =
        (int (*)(handler, handler, handler, void *))dlsym(RTLD_NEXT, "__register_atfork");
    if (handler_count < sizeof handlers / sizeof *handlers) {
        handlers[handler_count].prepare = prepare;
        handlers[handler_count].parent = parent;
        handlers[handler_count++].child = child;
    } else {
        handlers_are_lost = true;
    }
    return next != NULL ? next(prepare, parent, child, library) : ENOSYS;
}

static void prepare_handlers(void) {
    for (size_t i = handler_count; i-- > 0;)
        if (handlers[i].prepare != NULL)
            handlers[i].prepare();
}

static void call_handlers(bool in_child) {
    for (size_t i = 0; i < handler_count; i++) {
        handler called = in_child ? handlers[i].child : handlers[i].parent;
        if (called != NULL)
            called();
    }
}

// ---- The thread ----

/// Where the C library keeps the number of this thread: in its record of the thread. NULL where it is not found.
static int *number_of_thread(void) {
    int *found = NULL;
#ifdef PR_GET_TID_ADDRESS
    if (prctl(PR_GET_TID_ADDRESS, &found, 0, 0, 0) != 0)
        found = NULL;
#endif
    return found != NULL && *found == (int)syscall(SYS_gettid) ? found : NULL;
}

static bool has_one_thread(void) {
    DIR *threads = opendir("/proc/self/task");
    if (threads == NULL)
        return false;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(threads);
    return count == 1;
}

// ---- The child ----

typedef struct {
    char *text;
    size_t length;
} title;

/// What the system shows as the process's command line is where the server's was. It may be cut off.
static void set_title(title shown, char *const *arguments) {
    memset(shown.text, 0, shown.length);
    size_t room = shown.length - 1;
    char *place = shown.text;
    for (; *arguments != NULL && room > 0; arguments++) {
        size_t length = strnlen(*arguments, room - 1) + 1;
        memcpy(place, *arguments, length - 1);
        place += length;
        room -= length;
    }
}

/// Reads the whole file into new memory. NULL, with errno, for one that is not whole.
static host_fork_request *read_request(int file) {
    struct stat status;
    if (fstat(file, &status) != 0)
        return NULL;
    size_t length = (size_t)status.st_size, place = 0;
    host_fork_request *request = length >= sizeof *request ? malloc(length) : NULL;
    while (request != NULL && place < length) {
        ssize_t count = pread(file, (char *)request + place, length - place, (off_t)place);
        if (count > 0)
            place += (size_t)count;
        else if (count == 0 || errno != EINTR)
            break;
    }
    if (request != NULL && place == length && request->length == length)
        return request;
    errno = EBADMSG;
    return NULL;
}

/// A list of as many texts as there are, and the end of them.
static char *take_texts(char **list, uint32_t count, char *text, const char *end) {
    for (uint32_t i = 0; i < count; i++) {
        size_t left = (size_t)(end - text), length = strnlen(text, left);
        if (length == left)
            return NULL;
        list[i] = text;
        text += length + 1;
    }
    list[count] = NULL;
    return text;
}

typedef struct {
    char **arguments;
    int count;
    int socket, socket_afterwards; // where answers go: now, and once the descriptors are handed over
} beginning;

/// The descriptors are where the program will find them. After the change of the user the kernel takes the process for
/// one that nobody may look into, and keeps what capabilities may be kept with another: with the execution of a program
/// both would end.
RUNS_IN_CHILD static int as_if_executed(void *context, const char **step) {
    beginning *begun = context;
    (void)step;
    begun->socket = begun->socket_afterwards;
    syscall(SYS_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    return 0;
}

/// Makes of this process the child that the file describes. 0, or an errno.
static int become(const int *received, size_t count, title shown, beginning *begun) {
    host_fork_request *request = count > 0 ? read_request(received[0]) : NULL;
    if (request == NULL)
        return errno;
    size_t known = 1 + request->has_rules + request->has_control_group;
    struct sock_filter *instructions = (struct sock_filter *)(request + 1);
    size_t texts = request->argument_count + (size_t)request->environment_count + 2;
    char **list = calloc(texts, sizeof *list);
    int *descriptors = calloc(request->descriptor_count + 1, sizeof *descriptors);
    if (list == NULL || descriptors == NULL || count != known + request->descriptor_count)
        return EBADMSG;
    char *text = (char *)(instructions + (request->has_filter ? request->filter.count : 0));
    char *end = (char *)request + request->length;
    text = take_texts(list, request->argument_count, text, end);
    if (text == NULL || take_texts(list + request->argument_count + 1, request->environment_count, text, end) == NULL)
        return EBADMSG;
    memcpy(descriptors, received + known, request->descriptor_count * sizeof *descriptors);
    // The socket goes along, behind those of the program, for as long as something can fail.
    descriptors[request->descriptor_count] = HOST_FORK_SOCKET;
    request->confinement.rules = request->has_rules ? received[1] : -1;
    request->filter.instructions = instructions;
    request->confinement.filter = request->has_filter ? &request->filter : NULL;
    const host_spawn_plan plan = {
        .descriptors = descriptors,
        .descriptor_count = request->descriptor_count + 1,
        .confinement = request->is_confined ? &request->confinement : NULL,
        .control_group = request->has_control_group ? received[known - 1] : 0,
        .prepare = as_if_executed,
        .context = begun,
    };
    begun->arguments = list;
    begun->count = (int)request->argument_count;
    begun->socket_afterwards = (int)request->descriptor_count;
    set_title(shown, list);
    const char *step;
    int error = host_child_become(&plan, request->parent, &step);
    free(descriptors);
    return error;
}

static bool tell(int socket, host_fork_answer_kind kind, int error) {
    const host_fork_answer answer = {.kind = kind, .error = error};
    return write(socket, &answer, sizeof answer) == sizeof answer;
}

// ---- The server ----

static bool tell_made(int error, int pidfd) {
    host_fork_answer answer = {.kind = HOST_FORK_MADE, .error = error};
    struct iovec text = {&answer, sizeof answer};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    if (error == 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(header), &pidfd, sizeof pidfd);
    }
    return sendmsg(HOST_FORK_SOCKET, &message, MSG_NOSIGNAL) == sizeof answer;
}

/// The descriptors of the next request; -1 at the host program's end.
static int next_request(int *received) {
    char byte;
    struct iovec text = {&byte, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * HOST_FORK_MAXIMUM_DESCRIPTORS)];
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length;
    do
        length = recvmsg(HOST_FORK_SOCKET, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length <= 0)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(received, CMSG_DATA(header), count * sizeof(int));
    return (int)count;
}

/// 0 in the child, and its number here; or a negative errno.
static pid_t make_copy(int *number, int *pidfd) {
    void *mutexes = NULL;
    size_t length = 0;
    syscall(SYS_get_robust_list, 0, &mutexes, &length);
    prepare_handlers();
    // With CLONE_PARENT the signal at its end is that at the server's.
    const unsigned long flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#if defined(__x86_64__)
    long child = syscall(SYS_clone, flags, NULL, pidfd, number, NULL);
#else
    long child = syscall(SYS_clone, flags, NULL, pidfd, NULL, number);
#endif
    int error = errno;
    if (child == 0 && mutexes != NULL)
        syscall(SYS_set_robust_list, mutexes, length);
    call_handlers(child == 0);
    return child < 0 ? -error : (pid_t)child;
}

/// Does not return but in a child that is to be the program.
static beginning serve(title shown, int *number) {
    int received[HOST_FORK_MAXIMUM_DESCRIPTORS];
    for (int count; (count = next_request(received)) >= 0;) {
        int pidfd = -1;
        pid_t child = make_copy(number, &pidfd);
        if (child == 0) {
            beginning begun = {.socket = HOST_FORK_SOCKET};
            int error = become(received, (size_t)count, shown, &begun);
            if (!tell(begun.socket, HOST_FORK_BECOMES, error) || error != 0)
                _exit(127);
            close(begun.socket);
            return begun;
        }
        for (int i = 0; i < count; i++)
            close(received[i]);
        bool told = tell_made(child < 0 ? -child : 0, pidfd);
        if (pidfd >= 0)
            close(pidfd);
        if (!told)
            break;
    }
    _exit(0);
}

/// By this name a program's first code comes to the C library, with the program's main.
SHOWN int __libc_start_main(main_function program, int count, char **arguments, void (*begin)(void), void (*end)(void),
                            void (*linker_end)(void), void *stack) {
    start_function next = (start_function)dlsym(RTLD_NEXT, "__libc_start_main");
    if (next == NULL)
        _exit(127);
    int *number = getenv(HOST_FORK_VARIABLE) != NULL ? number_of_thread() : NULL;
    if (number == NULL || handlers_are_lost || !has_one_thread() || !tell(HOST_FORK_SOCKET, HOST_FORK_READY, 0))
        // It ends by itself: it was asked for its version.
        return next(program, count, arguments, begin, end, linker_end, stack);
    char *last = arguments[count - 1];
    const title shown = {arguments[0], (size_t)(last + strlen(last) + 1 - arguments[0])};
    beginning begun = serve(shown, number);
    // It is behind the arguments, as on a new process's stack, where some versions of the C library look for it. Others
    // have taken it from the dynamic linker by now.
    environ = begun.arguments + begun.count + 1;
    return next(program, begun.count, begun.arguments, begin, end, linker_end, stack);
}
