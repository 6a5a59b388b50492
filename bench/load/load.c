/*
 * load puts a server under load and counts: round trips on connections that are
 * kept, or whole lives of connections. One epoll loop for each thread; nothing
 * but what a client cannot do without, so that the server is what is measured.
 *
 *   load MODE PORT CONNECTIONS THREADS WARM_MS RUN_MS PATH
 *
 * MODE   http         requests on connections that are kept
 *        http-close   connect, one request with "Connection: close", read to the end
 *        echo         64 bytes there and back on connections that are kept
 *        echo-close   connect, 64 bytes there and back, close
 *        idle         a request on each connection, then nothing until standard input ends
 *
 * It prints one line of JSON at the end: how much was done, the warm-up included, in
 * "all"; and after the warm-up how much was done and failed, in how long, and how
 * long the median, the 99th in a hundred and the slowest took. idle prints "idle"
 * once all are connected.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD = 64, BUFFER = 8192, SLOWEST_US = 1000000, BURST = 256 };
enum mode { HTTP, HTTP_CLOSE, ECHO, ECHO_CLOSE, IDLE };
enum state { CONNECTING, WAITING };

struct conn {
	int fd;
	enum state state;
	size_t have, want; /* bytes of the answer; want is 0 until it is known */
	uint64_t since;    /* ns */
	char buf[BUFFER];
};

struct worker {
	pthread_t thread;
	int number, count, epoll;
	unsigned sources; /* source addresses used so far */
	struct conn *conns;
	uint64_t all, done, failed, slowest;
	uint32_t histogram[SLOWEST_US + 1]; /* by microseconds */
};

static enum mode mode;
static int port;
static char request[1024];
static size_t request_len;
static atomic_int phase; /* 0 warm-up, 1 counted, 2 over */
static atomic_long answered; /* connections of idle */

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int closes(void) { return mode == HTTP_CLOSE || mode == ECHO_CLOSE; }
static int speaks_http(void) { return mode == HTTP || mode == HTTP_CLOSE || mode == IDLE; }

static void watch(struct worker *w, struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	if (epoll_ctl(w->epoll, op, c->fd, &e) < 0)
		die("epoll_ctl");
}

static void open_conn(struct worker *w, struct conn *c);

/* failed counts, and gives up on a server that does nothing but fail. */
static void failed(struct worker *w, struct conn *c)
{
	if (phase == 1)
		w->failed++;
	if (phase == 0 && ++w->failed > 100000) {
		fprintf(stderr, "load: the server answers nothing\n");
		exit(1);
	}
	close(c->fd);
	open_conn(w, c);
}

static void ask(struct worker *w, struct conn *c)
{
	c->state = WAITING;
	c->have = 0;
	c->want = speaks_http() ? 0 : PAYLOAD;
	if (mode == HTTP || mode == ECHO)
		c->since = now_ns();
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		failed(w, c);
}

/*
 * Each life of a connection leaves its client's port waiting for a minute, so
 * that those of one source address would soon be used up.
 */
static void choose_source(struct worker *w, int fd)
{
	const int on = 1;
	struct sockaddr_in from = { .sin_family = AF_INET };
	from.sin_addr.s_addr = htonl(0x7f010000u | (unsigned)w->number << 8 | (1 + w->sources++ % 250));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
		die("bind");
}

static void open_conn(struct worker *w, struct conn *c)
{
	const int on = 1;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	if (closes())
		choose_source(w, c->fd);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c->since = now_ns();
	c->state = CONNECTING;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0) {
		watch(w, c, EPOLL_CTL_ADD, EPOLLIN);
		ask(w, c);
	} else if (errno == EINPROGRESS) {
		watch(w, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	} else {
		die("connect");
	}
}

static void done(struct worker *w, struct conn *c)
{
	w->all++;
	if (phase == 1) {
		uint64_t ns = now_ns() - c->since, us = ns / 1000;
		w->histogram[us < SLOWEST_US ? us : SLOWEST_US]++;
		if (ns > w->slowest)
			w->slowest = ns;
		w->done++;
	}
	if (mode == IDLE) {
		atomic_fetch_add(&answered, 1);
		return;
	}
	if (!closes()) {
		ask(w, c);
		return;
	}
	close(c->fd);
	open_conn(w, c);
}

/* answer_length is that of the whole answer, 0 if not yet known, -1 if it is wrong. */
static long answer_length(struct conn *c)
{
	char *end = memmem(c->buf, c->have, "\r\n\r\n", 4);
	if (end == NULL)
		return c->have < BUFFER ? 0 : -1;
	if (memcmp(c->buf, "HTTP/1.1 200", 12) != 0)
		return -1;
	char saved = *end;
	*end = 0;
	char *field = strcasestr(c->buf, "\ncontent-length:"), *chunked = strcasestr(c->buf, "\ntransfer-encoding: chunked");
	*end = saved;
	if (field != NULL)
		return end + 4 - c->buf + atol(field + 16);
	if (chunked != NULL) {
		char *last = memmem(end, c->have - (size_t)(end - c->buf), "\r\n0\r\n\r\n", 7);
		return last == NULL ? 0 : last + 7 - c->buf;
	}
	return -1;
}

static void readable(struct worker *w, struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->have, BUFFER - c->have, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 0 && mode == HTTP_CLOSE && c->have >= 12 && memcmp(c->buf, "HTTP/1.1 200", 12) == 0) {
		done(w, c);
		return;
	}
	if (n <= 0) {
		failed(w, c);
		return;
	}
	c->have += (size_t)n;
	if (mode == HTTP_CLOSE)
		return; /* to the end */
	if (c->want == 0) {
		long length = answer_length(c);
		if (length < 0) {
			failed(w, c);
			return;
		}
		c->want = (size_t)length;
	}
	if (c->want != 0 && c->have >= c->want)
		done(w, c);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[BURST];
	for (int i = 0; i < w->count; i++)
		open_conn(w, &w->conns[i]);
	while (phase != 2) {
		int n = epoll_wait(w->epoll, events, BURST, 100);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (c->state == CONNECTING && events[i].events & EPOLLOUT && !(events[i].events & (EPOLLERR | EPOLLHUP))) {
				watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
				ask(w, c);
			} else {
				readable(w, c);
			}
		}
	}
	return NULL;
}

static void wait_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

static double percentile(struct worker *all, int threads, uint64_t done, double share)
{
	uint64_t seen = 0;
	for (int us = 0; us <= SLOWEST_US; us++) {
		for (int i = 0; i < threads; i++)
			seen += all[i].histogram[us];
		if (seen > 0 && (double)seen >= share * (double)done)
			return us + 0.5;
	}
	return 0;
}

static void report(struct worker *all, int threads, double seconds)
{
	uint64_t every = 0, done = 0, failed = 0, slowest = 0;
	for (int i = 0; i < threads; i++) {
		every += all[i].all;
		done += all[i].done;
		failed += all[i].failed;
		if (all[i].slowest > slowest)
			slowest = all[i].slowest;
	}
	printf("{\"all\":%llu,\"done\":%llu,\"failed\":%llu,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"slowest_us\":%.1f}\n",
	       (unsigned long long)every, (unsigned long long)done, (unsigned long long)failed, seconds,
	       percentile(all, threads, done, 0.5), percentile(all, threads, done, 0.99), (double)slowest / 1000);
	fflush(stdout);
}

static void stay_idle(int connections)
{
	char byte;
	for (int waited = 0; answered < connections; waited++) {
		if (waited == 6000) {
			fprintf(stderr, "load: %ld of %d connections are answered after a minute\n", (long)answered, connections);
			exit(1);
		}
		wait_ms(10);
	}
	puts("idle");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void parse_mode(const char *name, const char *path)
{
	static const char *const names[] = { "http", "http-close", "echo", "echo-close", "idle" };
	int i = 0;
	while (i < 5 && strcmp(names[i], name) != 0)
		i++;
	if (i == 5) {
		fprintf(stderr, "load: no mode %s\n", name);
		exit(2);
	}
	mode = (enum mode)i;
	if (speaks_http()) {
		request_len = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n", path,
		                               mode == HTTP_CLOSE ? "Connection: close\r\n" : "");
	} else { /* a line, for those that echo lines */
		memset(request, 'e', request_len = PAYLOAD);
		request[PAYLOAD - 1] = '\n';
	}
}

/* A connection takes a descriptor, and the soft limit is often 1024. */
static void raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fprintf(stderr, "usage: load MODE PORT CONNECTIONS THREADS WARM_MS RUN_MS PATH\n");
		return 2;
	}
	parse_mode(argv[1], argv[7]);
	raise_limit();
	port = atoi(argv[2]);
	int connections = atoi(argv[3]), threads = atoi(argv[4]);
	if (threads > connections)
		threads = connections;
	struct worker *all = calloc((size_t)threads, sizeof *all);
	if (all == NULL)
		die("calloc");
	for (int i = 0; i < threads; i++) {
		struct worker *w = &all[i];
		w->number = i;
		w->count = connections / threads + (i < connections % threads);
		w->conns = calloc((size_t)w->count, sizeof *w->conns);
		w->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (w->conns == NULL || w->epoll < 0)
			die("prepare");
		if (pthread_create(&w->thread, NULL, run, w) != 0)
			die("pthread_create");
	}
	if (mode == IDLE) {
		stay_idle(connections);
		_exit(0);
	}
	wait_ms(atol(argv[5]));
	for (int i = 0; i < threads; i++)
		all[i].failed = 0;
	uint64_t from = now_ns();
	phase = 1;
	wait_ms(atol(argv[6]));
	phase = 2;
	double seconds = (double)(now_ns() - from) / 1e9;
	for (int i = 0; i < threads; i++)
		pthread_join(all[i].thread, NULL);
	report(all, threads, seconds);
	return 0;
}
