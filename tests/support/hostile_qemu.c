// SPDX-License-Identifier: Apache-2.0
// A program in QEMU's place that its guest has taken over: it tries what it can do to the host, writes what came of
// each attempt to the file that its machine has for a serial port, as "name: outcome", and ends. APPLEVZ_QEMU_HOSTILE
// is what it is told: "folder port address process", an address of this host's own and the program of another machine.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[4096];
static char own_address[64];
static int port;
static pid_t other;
static FILE *outcomes;

static const char *in_folder(const char *name) {
    static char path[2][sizeof folder + 64];
    static int turn;
    turn ^= 1;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void tell(const char *name, long result) {
    int error = errno;
    fprintf(outcomes, "%s: %s\n", name, result >= 0 ? "done" : strerrorname_np(error));
}

static long ended(pid_t child) {
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, __WALL);
    return child;
}

static long opened(const char *path, int flags) {
    int file = open(path, flags, 0600);
    if (file >= 0)
        close(file);
    return file;
}

static long connected(int family, int kind, const void *address, socklen_t length) {
    int socket_number = socket(family, kind | SOCK_CLOEXEC, 0);
    if (socket_number < 0)
        return -1;
    long result = connect(socket_number, address, length);
    int error = errno;
    close(socket_number);
    errno = error;
    return result;
}

static long connected_unix(const char *name, int abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + abstract, sizeof address.sun_path - 1, "%s", name);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + strlen(name));
    return connected(AF_UNIX, SOCK_STREAM, &address, length);
}

static struct sockaddr_in internet(const char *address) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &made.sin_addr);
    return made;
}

static struct sockaddr_in6 internet6(const char *address) {
    struct sockaddr_in6 made = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, address, &made.sin6_addr);
    return made;
}

enum { BY_SENDTO, BY_SENDMSG, BY_SENDMMSG };

static long sent(const char *to, int family, int how) {
    struct sockaddr_in address = internet(to);
    address.sin_family = (sa_family_t)family;
    int socket_number = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_number < 0)
        return -1;
    const int yes = 1;
    setsockopt(socket_number, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes);
    char text[] = "from QEMU";
    struct iovec part = {text, sizeof text};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1}};
    long result = how == BY_SENDTO
                      ? sendto(socket_number, text, sizeof text, 0, (struct sockaddr *)&address, sizeof address)
                  : how == BY_SENDMSG ? sendmsg(socket_number, &message.msg_hdr, 0)
                                      : sendmmsg(socket_number, &message, 1, 0);
    int error = errno;
    close(socket_number);
    errno = error;
    return result;
}

static long bound(const char *to) {
    struct sockaddr_in address = internet(to);
    address.sin_port = 0;
    int socket_number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_number < 0)
        return -1;
    long result = bind(socket_number, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(socket_number);
    errno = error;
    return result;
}

/// As struct sockaddr_in.
static struct {
    sa_family_t family;
    in_port_t port;
    _Atomic(uint32_t) address;
    char rest[8];
} changing;
static atomic_bool changes;
static atomic_uint turns;

static void *change(void *argument) {
    const uint32_t *addresses = argument;
    while (atomic_load(&changes))
        atomic_store(&changing.address, addresses[atomic_fetch_add(&turns, 1) & 1]);
    return NULL;
}

/// Another thread changes the address all the time, from one of nobody's, to which a connection takes its time, to
/// loopback, and back.
static long connected_while_changed(void) {
    uint32_t addresses[2] = {inet_addr("192.0.2.1"), htonl(INADDR_LOOPBACK)};
    pthread_t thread;
    long result = -1;
    int error = EACCES;
    changing.family = AF_INET;
    // Not 0, which is loopback's, too.
    atomic_store(&changing.address, addresses[0]);
    changing.port = htons((uint16_t)port);
    atomic_store(&changes, true);
    if (pthread_create(&thread, NULL, change, addresses) != 0)
        return -1;
    // On a busy host the other thread has its turn late, and either address may stand for as long as that lasts.
    int loopback = 0;
    for (int i = 0; (i < 300 || loopback < 50 || atomic_load(&turns) < 100000) && result < 0; i++) {
        loopback += atomic_load(&changing.address) == addresses[1];
        int socket_number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (socket_number < 0) {
            error = errno;
            break;
        }
        if (connect(socket_number, (struct sockaddr *)&changing, sizeof changing) == 0 || errno == EINPROGRESS) {
            struct sockaddr_in peer = {0};
            socklen_t length = sizeof peer;
            struct linger now = {1, 0};
            // A connection to loopback is there at once.
            if (getpeername(socket_number, (struct sockaddr *)&peer, &length) == 0 &&
                peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
                result = 0;
            setsockopt(socket_number, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(socket_number);
    }
    atomic_store(&changes, false);
    pthread_join(thread, NULL);
    errno = error;
    return result;
}

static long many_sockets(int count) {
    static int numbers[1024];
    int made = 0;
    while (made < count && (numbers[made] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0)
        made++;
    int error = errno;
    for (int i = 0; i < made; i++)
        close(numbers[i]);
    errno = error;
    return made == count ? 0 : -1;
}

static long source_routed(void) {
    const unsigned char route[] = {131, 7, 4, 127, 0, 0, 1, 0};
    int socket_number = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_number < 0)
        return -1;
    long result = setsockopt(socket_number, IPPROTO_IP, IP_OPTIONS, route, sizeof route);
    int error = errno;
    close(socket_number);
    errno = error;
    return result;
}

/// The number of a file with a name that it was handed, which is open for reading alone, or also for writing.
static int handed(int writing) {
    for (int number = 3; number < 64; number++) {
        struct stat status;
        int flags = fcntl(number, F_GETFL);
        if (flags >= 0 && ((flags & O_ACCMODE) != O_RDONLY) == writing && fstat(number, &status) == 0 &&
            S_ISREG(status.st_mode) && status.st_nlink > 0)
            return number;
    }
    return -1;
}

static const char *path_of(int number) {
    static char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    return path;
}

static long read_memory(pid_t process) {
    char byte;
    struct iovec ours = {&byte, 1}, theirs = {(void *)0x1000, 1};
    long result = process_vm_readv(process, &ours, 1, &theirs, 1, 0);
    // There is nothing at that address; that it is looked at is enough.
    return result < 0 && errno == EFAULT ? 0 : result;
}

static long taken_descriptor(pid_t process) {
    int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
    if (pidfd < 0)
        return -1;
    long taken = syscall(SYS_pidfd_getfd, pidfd, 3, 0);
    int error = errno;
    close(pidfd);
    errno = error;
    return taken;
}

static long raised_limit(void) {
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max += 1;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

/// What it mounts is not there, which is said to those alone who may mount.
static long mounted(void) {
    long result = mount("none", "/tmp", "applevz-nothing", 0, NULL);
    return result < 0 && errno == ENODEV ? 0 : result;
}

static long programmed_kernel(void) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = 1;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

int main(void) {
    const char *told = getenv("APPLEVZ_QEMU_HOSTILE");
    if (told == NULL || sscanf(told, "%4095s %d %63s %d", folder, &port, own_address, &other) != 4)
        return 2;
    outcomes = fdopen(handed(1), "a");
    if (outcomes == NULL)
        return 3;
    setlinebuf(outcomes);
    struct sockaddr_in host = internet("127.0.0.1"), unspecified = internet("0.0.0.0"), own = internet(own_address);
    struct sockaddr_in6 host6 = internet6("::1"), mapped = internet6("::ffff:127.0.0.1"), any6 = internet6("::");
    char of_process[64];

    tell("read /etc/shadow", opened("/etc/shadow", O_RDONLY));
    tell("read a file of the user", opened(in_folder("secret"), O_RDONLY));
    tell("list a folder of the user", opened(folder, O_RDONLY | O_DIRECTORY));
    tell("write to a file of the user", opened(in_folder("secret"), O_WRONLY));
    tell("make a file", opened(in_folder("made"), O_WRONLY | O_CREAT));
    tell("make a file without a name", opened("/tmp", O_RDWR | O_TMPFILE));
    tell("make a folder", mkdir(in_folder("folder"), 0700));
    tell("remove a file", unlink(in_folder("removed")));
    tell("rename a file", rename(in_folder("renamed"), in_folder("other")));
    tell("link a file", link(in_folder("secret"), in_folder("linked")));
    tell("change a mode", chmod(in_folder("secret"), 0666));
    tell("change a time", utimensat(AT_FDCWD, in_folder("secret"), NULL, 0));
    tell("open the kernel anew", opened(path_of(handed(0)), O_RDONLY));
    tell("open the kernel for writing", opened(path_of(handed(0)), O_RDWR));
    snprintf(of_process, sizeof of_process, "/proc/%d/environ", getppid());
    tell("read the environment of Python", opened(of_process, O_RDONLY));
    snprintf(of_process, sizeof of_process, "/proc/%d/mem", getppid());
    tell("open the memory of Python", opened(of_process, O_RDWR));
    tell("read the memory of Python", read_memory(getppid()));
    tell("trace Python", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
    tell("signal Python", kill(getppid(), SIGWINCH));
    tell("signal Python's thread", syscall(SYS_tkill, getppid(), SIGWINCH));
    tell("signal all", kill(-1, 0));
    snprintf(of_process, sizeof of_process, "/proc/%d/environ", other);
    tell("read the environment of another machine", opened(of_process, O_RDONLY));
    tell("read the memory of another machine", read_memory(other));
    tell("signal another machine", kill(other, SIGWINCH));
    tell("take a descriptor of another machine", taken_descriptor(other));
    tell("trace another machine", ptrace(PTRACE_SEIZE, other, NULL, NULL));
    tell("signal itself", kill(getpid(), 0));
    tell("get hold of Python", syscall(SYS_pidfd_open, getppid(), 0));
    tell("outlive Python", prctl(PR_SET_PDEATHSIG, 0));
    tell("fork", ended(fork()));
    tell("vfork", ended((pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL)));
    tell("raise its limit of files", raised_limit());
    tell("connect to loopback", connected(AF_INET, SOCK_STREAM, &host, sizeof host));
    tell("send to loopback", connected(AF_INET, SOCK_DGRAM, &host, sizeof host));
    tell("connect to loopback by IPv6", connected(AF_INET6, SOCK_STREAM, &host6, sizeof host6));
    tell("connect to loopback by a mapped address", connected(AF_INET6, SOCK_STREAM, &mapped, sizeof mapped));
    tell("connect to no address", connected(AF_INET, SOCK_STREAM, &unspecified, sizeof unspecified));
    tell("connect to no address by IPv6", connected(AF_INET6, SOCK_STREAM, &any6, sizeof any6));
    tell("connect to the host's own address", connected(AF_INET, SOCK_STREAM, &own, sizeof own));
    tell("connect to loopback as it changes the address", connected_while_changed());
    tell("send a datagram to loopback", sent("127.0.0.1", AF_INET, BY_SENDTO));
    tell("send a message to loopback", sent("127.0.0.1", AF_INET, BY_SENDMSG));
    tell("send messages to loopback", sent("127.0.0.1", AF_INET, BY_SENDMMSG));
    tell("send to loopback without a family", sent("127.0.0.1", AF_UNSPEC, BY_SENDTO));
    tell("send to the host's own address", sent(own_address, AF_INET, BY_SENDTO));
    tell("broadcast", sent("255.255.255.255", AF_INET, BY_SENDTO));
    tell("multicast", sent("224.0.0.251", AF_INET, BY_SENDTO));
    tell("ask a cloud for passwords", sent("169.254.169.254", AF_INET, BY_SENDTO));
    tell("send to another host", sent("192.0.2.1", AF_INET, BY_SENDTO));
    tell("wait for others' connections", bound("0.0.0.0"));
    tell("choose a route", source_routed());
    tell("have 800 sockets", many_sockets(800));
    tell("connect to a socket by its path", connected_unix(in_folder("socket"), 0));
    tell("connect to an abstract socket", connected_unix(in_folder("socket"), 1));
    tell("make a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    tell("make a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0));
    tell("share memory by number", shmget(IPC_PRIVATE, 1, 0600));
    tell("mount", mounted());
    tell("change its root", chroot("/"));
    tell("open a disk of the host", opened("/dev/vda", O_RDONLY));
    tell("make a device", mknod(in_folder("device"), S_IFCHR | 0600, 0x103));
    tell("program the kernel", programmed_kernel());
    tell("use io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    tell("become another user", setresuid(65534, 65534, -1));
    tell("make a user namespace", unshare(CLONE_NEWUSER));
    tell("replace its control connection", dup2(STDERR_FILENO, 3));
    tell("close its control connection", close(3));
    // Last of all, since it does not come back.
    dup2(fileno(outcomes), STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", "echo 'execute a shell: done'", (char *)NULL);
    tell("execute a shell", -1);
    return 0;
}
