// SPDX-License-Identifier: Apache-2.0
// How a guest is connected to where the host's DHCP server gave it an address that the host reaches: leases read, and
// connections made by them. The guest's part is played by this host.
//
// Arguments: a folder to write to.
#import "guest/dhcp_leases.h"
#import "guest/leased_connection.h"
#import "../checks.h"
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>
#import <arpa/inet.h>
#import <dispatch/dispatch.h>
#import <dirent.h>
#import <fcntl.h>
#import <netinet/in.h>
#import <string.h>
#import <sys/socket.h>
#import <unistd.h>

static NSString *const Card = @"52:54:00:0a:0b:0c";

static NSString *lease(NSString *address, NSString *hardware, NSString *end) {
    return [NSString
        stringWithFormat:@"{\n\tname=guest\n\tip_address=%@\n\thw_address=%@\n\tidentifier=%@\n\tlease=%@\n}\n",
                         address, hardware, hardware, end];
}

static void leases_are_read(void) {
    // bootpd leaves leading zeros out.
    NSString *ours = lease(@"192.168.64.7", @"1,52:54:0:a:b:c", @"0x66000000");
    NSString *other = lease(@"192.168.64.8", @"1,52:54:0:a:b:d", @"0x67000000");
    CHECK([applevz_leased_address([other stringByAppendingString:ours], Card) isEqualToString:@"192.168.64.7"]);
    CHECK([applevz_leased_address(ours, @"52:54:00:0A:0B:0C") isEqualToString:@"192.168.64.7"]);
    CHECK(applevz_leased_address(other, Card) == nil);
    // Of several the one that ends last, wherever it stands.
    NSString *later = lease(@"192.168.64.9", @"1,52:54:0:a:b:c", @"0x66000001");
    CHECK([applevz_leased_address([ours stringByAppendingString:later], Card) isEqualToString:@"192.168.64.9"]);
    CHECK([applevz_leased_address([later stringByAppendingString:ours], Card) isEqualToString:@"192.168.64.9"]);
    // Clients that name themselves by a DUID: of a card and the time (1), of a card (3), of an enterprise (2).
    NSString *timed = lease(@"192.168.64.10", @"ff,f1:f5:dd:7f:0:1:0:1:2c:11:22:33:52:54:0:a:b:c", @"0x1");
    NSString *carded = lease(@"192.168.64.11", @"ff,f1:f5:dd:7f:0:3:0:1:52:54:0:a:b:c", @"0x1");
    NSString *enterprise = lease(@"192.168.64.12", @"ff,f1:f5:dd:7f:0:2:0:0:ab:11:52:54:0:a:b:c", @"0x1");
    CHECK([applevz_leased_address(timed, Card) isEqualToString:@"192.168.64.10"]);
    CHECK([applevz_leased_address(carded, Card) isEqualToString:@"192.168.64.11"]);
    CHECK(applevz_leased_address(enterprise, Card) == nil);
    // What is no lease of ours, in whatever way, is passed over.
    for (NSString *text in @[
             @"",
             @"{",
             @"}",
             @"\n\n",
             @"{}",
             @"ip_address=1.2.3.4",
             @"{\n\tip_address=1.2.3.4\n}\n",
             @"{\n\thw_address=1,52:54:0:a:b:c\n}\n",
             @"{\n\tip_address=1.2.3.4\n\thw_address=1,52:54:0:a:b:c\n",
             lease(@"", @"1,52:54:0:a:b:c", @"0x1"),
             lease(@"fd00::1", @"1,52:54:0:a:b:c", @"0x1"),
             lease(@"1.2.3.4; rm", @"1,52:54:0:a:b:c", @"0x1"),
             lease(@"1.2.3.4", @"1,52:54:0:a:b", @"0x1"),
             lease(@"1.2.3.4", @"1,52:54:0:a:b:c:d", @"0x1"),
             lease(@"1.2.3.4", @"1,52:54:0:a:b:0xc", @"0x1"),
             lease(@"1.2.3.4", @"1,52:54:0:a:b:", @"0x1"),
             lease(@"1.2.3.4", @"1,52:54:0:a:b:-c", @"0x1"),
             lease(@"1.2.3.4", @"52:54:0:a:b:c", @"0x1"),
             lease(@"1.2.3.4", @",", @"0x1"),
             lease(@"1.2.3.4", @"ff,", @"0x1"),
             lease(@"1.2.3.4", @"7,52:54:0:a:b:c", @"0x1"),
             lease(@"1.2.3.4", @"ff,0:0:0:0:0", @"0x1"),
             lease(@"1.2.3.4", @"ff,0:0:0:0:0:1:52:54:0:a:b:c", @"0x1"),
         ]) {
        if (applevz_leased_address(text, Card) != nil) {
            fprintf(stderr, "taken for a lease: %s\n", text.UTF8String);
            exit(1);
        }
    }
    // One that is damaged does not hide one that is whole.
    NSString *damaged = @"{\n\tip_address=9.9.9.9\n\thw_address=1,52:54:0:a:b:c\n";
    CHECK([applevz_leased_address([damaged stringByAppendingString:ours], Card) isEqualToString:@"192.168.64.7"]);
    CHECK(applevz_leased_address(ours, @"not an address") == nil && applevz_leased_address(ours, @"") == nil);
    // A lease whose end is missing is one, and gives way to any other.
    NSString *endless = @"{\n\tip_address=192.168.64.13\n\thw_address=1,52:54:0:a:b:c\n}\n";
    CHECK([applevz_leased_address(endless, Card) isEqualToString:@"192.168.64.13"]);
    CHECK([applevz_leased_address([ours stringByAppendingString:endless], Card) isEqualToString:@"192.168.64.7"]);
}

static int listener(int backlog, uint16_t *port) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CHECK(bind(descriptor, (struct sockaddr *)&address, length) == 0);
    CHECK(backlog < 0 || listen(descriptor, backlog) == 0);
    CHECK(getsockname(descriptor, (struct sockaddr *)&address, &length) == 0);
    *port = ntohs(address.sin_port);
    return descriptor;
}

typedef struct {
    int descriptor;
    int64_t code;       // 0 without an error
    int64_t underlying; // an errno
    char reason[400];
    int calls;
} outcome;

/// Connects, and calls `meanwhile` a moment after it began. Nobody waits any more when that gives NO.
static outcome connect_by(NSString *path, uint16_t port, double patience, BOOL (^meanwhile)(void)) {
    __block outcome result = {.descriptor = -1};
    dispatch_queue_t queue = dispatch_queue_create("test", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    __block BOOL wanted = YES;
    @autoreleasepool {
        AppleVZLeasedConnection *connection = [[AppleVZLeasedConnection alloc] initWithLeases:path
                                                                                   macAddress:Card
                                                                                         port:port];
        connection.later = ^(unsigned milliseconds, void (^block)(void), void (^failed)(NSError *)) {
            (void)failed; // nothing here raises
            dispatch_after(dispatch_time(DISPATCH_TIME_NOW, milliseconds * (int64_t)NSEC_PER_MSEC), queue, block);
        };
        connection.isWanted = ^BOOL {
            return wanted;
        };
        connection.completion = ^(int descriptor, NSError *error) {
            result.descriptor = descriptor;
            result.calls++;
            if (error != nil) {
                CHECK([error.domain isEqualToString:VZErrorDomain] && error.localizedDescription.length > 0);
                result.code = error.code;
                result.underlying = [error.userInfo[NSUnderlyingErrorKey] code];
                strncpy(result.reason, error.localizedFailureReason.UTF8String, sizeof result.reason - 1);
            }
            dispatch_semaphore_signal(done);
        };
        connection.patience = patience;
        dispatch_async(queue, ^{
            [connection begin];
        });
    }
    if (meanwhile != nil) {
        usleep(150 * 1000);
        BOOL still = meanwhile();
        dispatch_sync(queue, ^{
            wanted = still;
        });
    }
    CHECK(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 60 * (int64_t)NSEC_PER_SEC)) == 0);
    dispatch_sync(queue, ^{
        CHECK(result.calls == 1);
    });
    return result;
}

static void write_lease(NSString *path, NSString *address) {
    // After another one, whose guest has a name that is not text in UTF-8.
    NSString *text =
        [NSString stringWithFormat:@"{\n\tname=\u00e9%C\n\tip_address=1.2.3.4\n\thw_address=1,1:2:3:4:5:6\n}\n%@",
                                   (unichar)0x85, lease(address, @"1,52:54:0:a:b:c", @"0x1")];
    CHECK([text writeToFile:path atomically:YES encoding:NSISOLatin1StringEncoding error:NULL]);
}

static void connections_are_made(NSString *path) {
    uint16_t port;
    int server = listener(5, &port);

    // No file, and then a lease in it: the guest comes up later than the call.
    outcome found = connect_by(path, port, 60, ^BOOL {
        write_lease(path, @"127.0.0.1");
        return YES;
    });
    CHECK(found.code == 0 && found.descriptor >= 0);
    CHECK((fcntl(found.descriptor, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(found.descriptor, F_GETFL) & O_NONBLOCK) == 0);
    int peer = accept(server, NULL, NULL);
    char bytes[6] = "";
    CHECK(write(found.descriptor, "hello", 5) == 5 && read(peer, bytes, 5) == 5 && strcmp(bytes, "hello") == 0);
    close(peer);
    close(found.descriptor);

    // A port that nothing listens to.
    uint16_t refused_port;
    int silent = listener(-1, &refused_port);
    outcome refused = connect_by(path, refused_port, 60, nil);
    CHECK(refused.descriptor == -1 && refused.code == VZErrorNetworkError && refused.underlying == ECONNREFUSED);
    CHECK(strstr(refused.reason, "at 127.0.0.1, refused the connection") != NULL);
    close(silent);

    // No lease in all the time.
    write_lease(path, @"");
    outcome leaseless = connect_by(path, port, 0.3, nil);
    CHECK(leaseless.descriptor == -1 && leaseless.code == VZErrorNetworkError && leaseless.underlying == ETIMEDOUT);
    CHECK(strstr(leaseless.reason, "has no lease for 52:54:00:0a:0b:0c, within 0.3 s.") != NULL);

    // Leases that cannot be read.
    outcome unreadable = connect_by([path stringByAppendingPathComponent:@"inside"], port, 0.3, nil);
    CHECK(unreadable.descriptor == -1 && unreadable.code == VZErrorNetworkError);
    CHECK(strstr(unreadable.reason, "/inside could not be read: Not a directory, within 0.3 s.") != NULL);

    // A listener whose queue is full does not answer, and then does.
    uint16_t full_port;
    int full = listener(0, &full_port);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(full_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(waiting, (struct sockaddr *)&address, sizeof address) == 0);
    write_lease(path, @"127.0.0.1");
    outcome late = connect_by(path, full_port, 0.3, nil);
    CHECK(late.descriptor == -1 && late.underlying == ETIMEDOUT);
    CHECK(strstr(late.reason, "at 127.0.0.1, did not answer, within 0.3 s.") != NULL);
    outcome answered = connect_by(path, full_port, 60, ^BOOL {
        close(accept(full, NULL, NULL));
        return YES;
    });
    CHECK(answered.code == 0 && answered.descriptor >= 0);
    close(answered.descriptor);
    close(waiting);
    close(full);

    // Nobody waits any more.
    write_lease(path, @"");
    outcome left = connect_by(path, port, 60, ^BOOL {
        return NO;
    });
    CHECK(left.descriptor == -1 && left.code == 0);
    close(server);
}

static BOOL has_workers(void) {
    BOOL found = NO;
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        NSString *path = [NSString stringWithFormat:@"/proc/self/task/%s/comm", entry->d_name];
        NSString *name = [NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding error:NULL];
        found = found || [name hasPrefix:@"applevz-worker"];
    }
    closedir(folder);
    return found;
}

/// Without the workers, of which each has a pipe.
static int descriptor_count(void) {
    for (int i = 0; i < 300 && has_workers(); i++)
        usleep(100 * 1000);
    CHECK(!has_workers());
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        leases_are_read();
        NSString *path = [[NSString stringWithUTF8String:arguments[1]] stringByAppendingPathComponent:@"leases"];
        connections_are_made(path);
        int before = descriptor_count();
        CHECK(unlink(path.fileSystemRepresentation) == 0);
        for (int i = 0; i < 3; i++) {
            connections_are_made(path);
            CHECK(unlink(path.fileSystemRepresentation) == 0);
        }
        CHECK(descriptor_count() == before);
    }
    return 0;
}
