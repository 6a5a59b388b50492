/*
 * prefork is the least that a server with a process for each connection can be:
 * children that accept, read and write, and wait in each of these calls. It parses
 * nothing, has no timeouts, no limits, no log, and nobody looks after its children.
 * It shows what the model costs by itself.
 *
 *   prefork PORT CHILDREN http|echo
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char answer[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n\r\nHello from WebAssembly!\n";

static void die(const char *what)
{
	fprintf(stderr, "prefork: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A request comes in one piece, as the client of this folder sends it. */
static void serve(int fd, int http)
{
	char buf[4096];
	ssize_t n;
	while ((n = read(fd, buf, sizeof buf)) > 0) {
		int last = http && memmem(buf, (size_t)n, "Connection: close", 17) != NULL;
		const char *out = http ? answer : buf;
		size_t len = http ? sizeof answer - 1 : (size_t)n;
		if (send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len || last)
			return;
	}
}

static void child(int listener, int http)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		serve(fd, http);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const int on = 1, patience_s = 30;
	if (argc != 4) {
		fprintf(stderr, "usage: prefork PORT CHILDREN http|echo\n");
		return 2;
	}
	int http = strcmp(argv[3], "http") == 0;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])) };
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited */
	if (http) /* as httpd and apphost do */
		setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &patience_s, sizeof patience_s);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 511) < 0)
		die("listen");
	for (int i = atoi(argv[2]); i > 0; i--) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0)
			child(listener, http);
	}
	while (wait(NULL) > 0)
		;
	return 1;
}
