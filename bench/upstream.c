/* The model server of the benchmark: answers at once, costs next to nothing.
 *
 * upstream PORT EVENTS INTERVAL_MS [ANSWERS_FILE]
 *
 * POST /NAME/...          -> the canned stream of that name from ANSWERS_FILE (answers.py), in writes INTERVAL_MS apart.
 * POST with "stream":true -> EVENTS server-sent events of 181 bytes, one write each, INTERVAL_MS apart.
 * Any other POST          -> a chat completion of 1 KB.
 * GET                     -> a list of models, so that health checks pass.
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 8192, ANSWER_BYTES = 1024, EVENT_BYTES = 181, MAX_CANNED = 64, MAX_PIECES = 512, NAME_BYTES = 64 };

struct piece {
    char *bytes;
    size_t length;
};

struct canned {
    char name[NAME_BYTES];
    int count;
    struct piece pieces[MAX_PIECES];
};

struct conn {
    char *in;          /* bytes of the request so far */
    size_t used, room;
    size_t body;       /* where the body starts; 0 while the head is not complete */
    long long length;  /* content-length; -1 = chunked */
    size_t walked;     /* chunked: where the next chunk header starts */
    int streaming;     /* events left + the end of the stream */
    const struct canned *canned; /* what is streamed, NULL: the stream of events */
    size_t sent;       /* bytes of the current piece that are out */
    long long due;     /* ms */
};

static struct conn conns[MAX_FD];
static struct canned canned[MAX_CANNED];
static int canned_count;
static int streams[MAX_FD], stream_count, timer, poller;
static int events_per_stream, interval_ms;
static char answer[4096], models[1024], event[1024], first[2048], last[2048];
static size_t answer_len, models_len, event_len, first_len, last_len;

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void set_timer(long every_ms) {
    struct itimerspec spec = {{0, every_ms * 1000000}, {0, every_ms * 1000000}};
    timerfd_settime(timer, 0, &spec, NULL);
}

static void forget_stream(int fd) {
    for (int i = 0; i < stream_count; i++)
        if (streams[i] == fd) {
            streams[i] = streams[--stream_count];
            break;
        }
    if (!stream_count) set_timer(0);
}

static void drop(int fd) {
    if (conns[fd].streaming) forget_stream(fd);
    free(conns[fd].in);
    memset(&conns[fd], 0, sizeof conns[fd]);
    close(fd);
}

static size_t filled(char *out, const char *before, const char *after, size_t total) {
    size_t pad = total - strlen(before) - strlen(after);
    strcpy(out, before);
    for (size_t i = 0; i < pad; i++) out[strlen(before) + i] = i % 7 == 6 ? ' ' : 'a' + i % 26;
    strcpy(out + strlen(before) + pad, after);
    return total;
}

static void prepare(void) {
    char body[ANSWER_BYTES + 1], data[EVENT_BYTES + 1], tail[512];
    filled(body,
           "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"model-a\","
           "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
           "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":150,"
           "\"total_tokens\":550}}", ANSWER_BYTES);
    answer_len = sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                         ANSWER_BYTES, body);
    const char *list = "{\"object\":\"list\",\"status\":\"ok\",\"model_path\":\"model-a\",\"data\":[{\"id\":\"model-a\","
                       "\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"bench\"}]}";
    models_len = sprintf(models, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                         strlen(list), list);
    filled(data,
           "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
           "\"model\":\"model-a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
           "\"},\"finish_reason\":null}]}\n\n", EVENT_BYTES);
    event_len = sprintf(event, "%x\r\n%s\r\n", EVENT_BYTES, data);
    first_len = sprintf(first, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
                               "\r\n%s", event);
    sprintf(tail, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                  "\"model\":\"model-a\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                  "data: [DONE]\n\n");
    last_len = sprintf(last, "%zx\r\n%s\r\n0\r\n\r\n", strlen(tail), tail);
}

static void read_canned(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(1);
    struct canned *one = canned;
    for (; canned_count < MAX_CANNED && fscanf(file, "%63s %d\n", one->name, &one->count) == 2; one++, canned_count++) {
        if (one->count > MAX_PIECES) fprintf(stderr, "%s: too many writes\n", one->name), exit(1);
        for (struct piece *piece = one->pieces; piece < one->pieces + one->count; piece++) {
            if (fscanf(file, "%zu", &piece->length) != 1 || fgetc(file) != '\n') exit(1);
            piece->bytes = malloc(piece->length);
            if (fread(piece->bytes, 1, piece->length, file) != piece->length) exit(1);
        }
    }
    fclose(file);
}

/* The canned stream whose name is the first step of the path. */
static const struct canned *canned_for(const char *request) {
    if (strncmp(request, "POST /", 6)) return NULL;
    for (const struct canned *one = canned; one < canned + canned_count; one++) {
        size_t length = strlen(one->name);
        if (!strncmp(request + 6, one->name, length) && request[6 + length] == '/') return one;
    }
    return NULL;
}

/* 1: a whole piece went out, 0: later, -1: the peer is gone. */
static int push(int fd, const char *piece, size_t length) {
    struct conn *c = &conns[fd];
    ssize_t n = send(fd, piece + c->sent, length - c->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->sent += n;
    if (c->sent < length) return 0;
    c->sent = 0;
    return 1;
}

static void step_stream(int fd, long long now) {
    struct conn *c = &conns[fd];
    int whole;
    if (c->canned) {
        const struct piece *piece = &c->canned->pieces[c->canned->count - c->streaming];
        whole = push(fd, piece->bytes, piece->length);
    } else if (c->streaming == events_per_stream + 1) whole = push(fd, first, first_len);
    else if (c->streaming > 1) whole = push(fd, event, event_len);
    else whole = push(fd, last, last_len);
    if (whole < 0) {
        drop(fd);
        return;
    }
    if (!whole) return;
    c->due = now > c->due + interval_ms ? now + interval_ms : c->due + interval_ms;
    if (--c->streaming == 0) forget_stream(fd);
}

static void tick(void) {
    unsigned long long fired;
    if (read(timer, &fired, sizeof fired) < 0) return;
    long long now = now_ms();
    for (int i = stream_count - 1; i >= 0; i--)
        if (conns[streams[i]].due <= now) step_stream(streams[i], now);
}

static void respond(int fd, const char *body, size_t length) {
    struct conn *c = &conns[fd];
    int get = !strncmp(c->in, "GET", 3);
    c->canned = canned_for(c->in);
    int stream = c->canned || (!get && (memmem(body, length, "\"stream\":true", 13) || memmem(body, length, "\"stream\": true", 14)));
    if (stream) {
        c->streaming = c->canned ? c->canned->count : events_per_stream + 1;
        c->due = now_ms() + 1 + fd % interval_ms; /* streams do not beat in step */
        if (!stream_count) set_timer(1);
        streams[stream_count++] = fd;
        return;
    }
    if (push(fd, get ? models : answer, get ? models_len : answer_len) != 1) drop(fd);
}

static void read_head(struct conn *c) {
    char *end = memmem(c->in, c->used, "\r\n\r\n", 4);
    if (!end) return;
    c->body = end + 4 - c->in;
    c->walked = c->body;
    for (char *line = memchr(c->in, '\n', c->used); line && line < end; line = memchr(line, '\n', end - line)) {
        line++;
        if (!strncasecmp(line, "content-length:", 15)) c->length = atoll(line + 15);
        if (!strncasecmp(line, "transfer-encoding:", 18)) c->length = -1;
        if (!strncasecmp(line, "expect:", 7)) (void)!write((int)(c - conns), "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
}

/* The end of the request in the buffer, or 0 while it is not all there. */
static size_t request_end(struct conn *c) {
    if (c->length >= 0) return c->used >= c->body + c->length ? c->body + c->length : 0;
    for (;;) {
        char *line = c->in + c->walked, *stop = memmem(line, c->used - c->walked, "\r\n", 2);
        if (!stop) return 0;
        size_t size = strtoul(line, NULL, 16), next = stop + 2 - c->in + size + 2;
        if (next > c->used) return 0;
        c->walked = next;
        if (!size) return next;
    }
}

static void feed(int fd) {
    struct conn *c = &conns[fd];
    for (;;) {
        if (c->used + 1 >= c->room) c->in = realloc(c->in, c->room = c->room ? c->room * 2 : 16384);
        ssize_t n = read(fd, c->in + c->used, c->room - c->used - 1);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {
            drop(fd);
            return;
        }
        c->used += n;
        c->in[c->used] = 0;
        if (c->used + 1 < c->room) break;
    }
    if (!c->body) read_head(c);
    size_t end = c->body ? request_end(c) : 0;
    if (!end) return;
    respond(fd, c->in + c->body, end - c->body);
    c->used = c->body = c->walked = 0;
    c->length = 0;
}

static void welcome(int listener) {
    int on = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) return fprintf(stderr, "usage: upstream PORT EVENTS INTERVAL_MS [ANSWERS_FILE]\n"), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    events_per_stream = atoi(argv[2]);
    interval_ms = atoi(argv[3]);
    prepare();
    if (argc == 5) read_canned(argv[4]);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return perror("upstream"), 1;
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = timer;
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e);
    for (;;) {
        int n = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) welcome(listener);
            else if (fd == timer) tick();
            else feed(fd);
        }
    }
}
