// SPDX-License-Identifier: Apache-2.0
// A program that a fork server copies: it tells what it was told, and looks whether the C library is in order. It ends
// with 7.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern int prepared, in_parent, in_child;
extern char **environ;

static volatile sig_atomic_t signals;

static void count_signal(int signal) {
    (void)signal;
    signals++;
}

static void *nothing(void *argument) {
    return argument;
}

/// What of the C library goes by the thread's number, and by how many threads there are.
static const char *wrong(void) {
    signal(SIGUSR1, count_signal);
    if (pthread_kill(pthread_self(), SIGUSR1) != 0 || signals != 1)
        return "a signal to this thread did not come";
    if (raise(SIGUSR1) != 0 || signals != 2)
        return "a signal to itself did not come";
    pthread_mutexattr_t kind;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &kind);
    if (pthread_mutex_lock(&mutex) != 0 || pthread_mutex_lock(&mutex) != EDEADLK || pthread_mutex_unlock(&mutex) != 0)
        return "a mutex does not know its owner";
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, nothing, &thread) != 0 || pthread_join(thread, &result) != 0 || result != &thread)
        return "a thread was not made, or not joined";
    pid_t made = fork();
    if (made == 0)
        _exit(syscall(SYS_gettid) == getpid() ? 3 : 4);
    int status = 0;
    if (waitpid(made, &status, 0) != made || WEXITSTATUS(status) != 3)
        return "a fork failed";
    return "all is well";
}

/// Of a long text, how long it is.
static void tell(char *text) {
    if (strlen(text) > 1000)
        printf("%zu bytes; ", strlen(text));
    else
        printf("%s; ", text);
}

int main(int count, char **arguments) {
    if (strcmp(arguments[1], "kind") == 0) {
        printf("%s\n", in_child != 0 ? "copy" : "program");
    } else if (strcmp(arguments[1], "fork") == 0) {
        // Before this copy the server made others.
        printf("prepared %d, child %d; ", prepared - in_parent, in_child);
        printf("%s\n", wrong());
    } else {
        for (int i = 0; i < count; i++)
            tell(arguments[i]);
        // Those of the server's own are not among them.
        for (char **variable = environ; *variable != NULL; variable++)
            tell(*variable);
        printf("end %d, folder %s, session %d, parent %d; ", arguments[count] != NULL, getcwd((char[64]){0}, 64),
               getsid(0) == getpid(), getppid());
        printf("descriptors");
        for (int number = 0; number < 1000; number++)
            if (fcntl(number, F_GETFD) >= 0)
                printf(" %d", number);
        printf("; %s\n", wrong());
    }
    return 7;
}
