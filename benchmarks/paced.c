/* An event-stream server that sends one event to every open stream at each tick, so that a client
 * that keeps up gets one event a read.
 *
 *     paced STREAMS TICK_MS EVENTS HEAD EVENT TAIL
 *
 * HEAD, EVENT and TAIL are files with bytes to send as they are: at the first tick HEAD, then EVENT
 * at each of EVENTS ticks, then TAIL. The response's header fields go out at once, and the clock
 * starts when STREAMS streams are open. The port, a free one of 127.0.0.1, is printed on a line.
 *
 * The first bytes of an idle connection are a request, whatever they say; bytes that come while a
 * stream is open are the rest of it. A stream whose socket is full is closed: it has fallen behind
 * by more events than the socket's buffers hold, and its client must not pass for one that keeps up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MAX_FD = 65536, BATCH = 1024, IDLE = -1 };

struct bytes {
    char data[65536];
    size_t length;
};

static const char RESPONSE[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
static struct bytes head, event, tail;
static int ticks[MAX_FD]; /* seen by the stream of this descriptor, or IDLE */
static int highest, epoll, wanted, live, events;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void read_file(const char *path, struct bytes *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    bytes->length = fread(bytes->data, 1, sizeof bytes->data, file);
    fclose(file);
}

static void watch(int fd) {
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) < 0)
        die("epoll_ctl");
}

static void start_clock(int timer, long tick_ms) {
    struct timespec tick = {tick_ms / 1000, tick_ms % 1000 * 1000000};
    struct itimerspec every = {tick, tick};
    timerfd_settime(timer, 0, &every, NULL);
}

static void leave(int fd) {
    if (ticks[fd] != IDLE)
        live--;
    ticks[fd] = IDLE;
    close(fd);
}

static int push(int fd, const char *data, size_t length) {
    if (send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length)
        return 1;
    leave(fd);
    return 0;
}

static void tick(void) {
    for (int fd = 0; fd <= highest; fd++) {
        if (ticks[fd] == IDLE)
            continue;
        int seen = ticks[fd]++;
        const struct bytes *next = seen == 0 ? &head : seen <= events ? &event : &tail;
        if (push(fd, next->data, next->length) && next == &tail) {
            ticks[fd] = IDLE;
            live--;
        }
    }
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ticks[fd] = IDLE;
        if (fd > highest)
            highest = fd;
        watch(fd);
    }
}

/* Returns whether the stream that makes the number full was opened. */
static int hear(int fd) {
    char request[16384];
    ssize_t length = recv(fd, request, sizeof request, 0);
    if (length < 0 && errno == EAGAIN)
        return 0;
    if (length <= 0) {
        leave(fd);
        return 0;
    }
    if (ticks[fd] != IDLE || !push(fd, RESPONSE, sizeof RESPONSE - 1))
        return 0;
    ticks[fd] = 0;
    return ++live == wanted;
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 16384) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int count, char **arguments) {
    if (count != 7)
        return 2;
    wanted = atoi(arguments[1]);
    long tick_ms = atol(arguments[2]);
    events = atoi(arguments[3]);
    read_file(arguments[4], &head);
    read_file(arguments[5], &event);
    read_file(arguments[6], &tail);
    for (int fd = 0; fd < MAX_FD; fd++)
        ticks[fd] = IDLE;
    int listener = listen_on_loopback(), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll = epoll_create1(0);
    watch(listener);
    watch(timer);
    for (;;) {
        struct epoll_event ready[BATCH];
        int found = epoll_wait(epoll, ready, BATCH, -1);
        for (int i = 0; i < found; i++) {
            int fd = ready[i].data.fd;
            long passed; /* ticks that were missed are not made up for */
            if (fd == listener)
                accept_all(listener);
            else if (fd != timer) {
                if (hear(fd))
                    start_clock(timer, tick_ms);
            } else if (read(timer, &passed, sizeof passed) > 0)
                tick();
        }
    }
}
