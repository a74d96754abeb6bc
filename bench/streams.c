/* Opens many streams at once, reads them to their ends and prints what came as one JSON object.
 *
 * streams PORT COUNT REQUEST_FILE SECONDS [TURNS MARK]
 *
 * REQUEST_FILE holds the bytes of one whole HTTP/1.1 request. An event is a line that starts with "data:".
 * A stream is complete when it said so itself ("[DONE]" or "message_stop", or MARK) and its HTTP body ended.
 * Each connection asks TURNS times (1), the next time once the answer before is complete.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX = 4096, KEEP = 32, GAPS = 2000 };

struct stream {
    int fd, events, ended, turns;
    double first, seen;
    char tail[KEEP + 1]; /* the last bytes of what was read: marks may be cut in two */
    int tail_len;
};

static struct stream all[MAX];
static double begun, firsts[MAX];
static long long reads, events, bytes, gaps[GAPS + 1], gap_count;
static int complete, open_now, first_count;
static char request[1 << 20];
static size_t request_size;
static const char *mark;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void finish(struct stream *s, int ok) {
    complete += ok;
    open_now--;
    close(s->fd);
    s->fd = -1;
}

/* The answer is whole: ask again, or that was the last one. */
static void next(struct stream *s) {
    if (--s->turns == 0) {
        finish(s, 1);
        return;
    }
    complete++;
    s->ended = s->tail_len = 0;
    if (write(s->fd, request, request_size) != (ssize_t)request_size) finish(s, 0);
}

static int says_end(const char *text, size_t length) {
    if (mark) return memmem(text, length, mark, strlen(mark)) != NULL;
    return memmem(text, length, "data: [DONE]", 12) || memmem(text, length, "\"message_stop\"", 14);
}

static int count(const char *text, size_t length, const char *word) {
    int found = 0;
    size_t size = strlen(word);
    for (const char *at = text; (at = memmem(at, text + length - at, word, size)); at += size) found++;
    return found;
}

static void look(struct stream *s, char *data, size_t length) {
    static char joined[KEEP + 65536 + 1];
    memcpy(joined, s->tail, s->tail_len);
    memcpy(joined + s->tail_len, data, length);
    size_t total = s->tail_len + length;
    /* What the tail alone already showed was counted when it came. */
    int fresh = count(joined, total, "\ndata:") - count(joined, s->tail_len, "\ndata:");
    s->events += fresh;
    events += fresh;
    if (says_end(joined, total)) s->ended = 1;
    s->tail_len = total < KEEP ? total : KEEP;
    memcpy(s->tail, joined + total - s->tail_len, s->tail_len);
}

static void take(struct stream *s) {
    static char data[65536];
    ssize_t n = read(s->fd, data, sizeof data);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        finish(s, s->ended && s->turns == 1);
        return;
    }
    double t = now();
    reads++;
    bytes += n;
    int before = s->events;
    look(s, data, n);
    if (!s->first && s->events) {
        s->first = t;
        firsts[first_count++] = t - begun;
    } else if (s->events > before) {
        int ms = (t - s->seen) * 1000;
        gaps[ms < GAPS ? ms : GAPS]++;
        gap_count++;
    }
    s->seen = t;
    if (s->ended && s->tail_len >= 5 && !memcmp(s->tail + s->tail_len - 5, "0\r\n\r\n", 5)) next(s);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int gap(double share) {
    long long sum = 0;
    for (int i = 0; i <= GAPS; i++)
        if ((sum += gaps[i]) >= share * gap_count) return i;
    return GAPS;
}

int main(int argc, char **argv) {
    if (argc != 5 && argc != 7)
        return fprintf(stderr, "usage: streams PORT COUNT REQUEST_FILE SECONDS [TURNS MARK]\n"), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int wanted = atoi(argv[2]), turns = argc == 7 ? atoi(argv[5]) : 1, on = 1, poller = epoll_create1(0);
    double limit = atof(argv[4]);
    mark = argc == 7 ? argv[6] : NULL;
    FILE *file = fopen(argv[3], "rb");
    if (!file || wanted > MAX) return perror(argv[3]), 1;
    request_size = fread(request, 1, sizeof request, file);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    begun = now();
    for (int i = 0; i < wanted; i++) {
        int fd = all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&at, sizeof at)) return perror("connect"), 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        all[i].turns = turns;
        if (write(fd, request, request_size) != (ssize_t)request_size) return perror("write"), 1;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
        open_now++;
    }
    struct epoll_event ready[256];
    while (open_now && now() - begun < limit) {
        int n = epoll_wait(poller, ready, 256, 100);
        for (int i = 0; i < n; i++)
            if (((struct stream *)ready[i].data.ptr)->fd >= 0) take(ready[i].data.ptr);
    }
    qsort(firsts, first_count, sizeof *firsts, by_size);
    printf("{\"streams\": %d, \"complete\": %d, \"events\": %lld, \"reads\": %lld, \"bytes\": %lld, \"seconds\": %.3f, "
           "\"first_p50_ms\": %.2f, \"first_max_ms\": %.2f, \"gap_p50_ms\": %d, \"gap_p99_ms\": %d}\n",
           wanted * turns, complete, events, reads, bytes, now() - begun, first_count ? firsts[first_count / 2] * 1e3 : 0,
           first_count ? firsts[first_count - 1] * 1e3 : 0, gap(0.5), gap(0.99));
    return complete == wanted * turns ? 0 : 1;
}
