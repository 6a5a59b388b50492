/*
 * apphost.h: the server's functions for handlers written in C.
 *
 * Include it in one or more files and build without any library:
 *
 *   clang --target=wasm32 -nostdlib -O2 -I sdk/c -Wl,--no-entry \
 *         -o handler.wasm handler.c
 *
 * or, with wasi-libc, with --target=wasm32-wasi -mexec-model=reactor.
 *
 * Functions that are not called do not become imports. A handler uses the
 * apphost_ functions (connections) or the http_ functions (requests), not
 * both. Pointers may point anywhere into the handler's memory.
 */
#ifndef APPHOST_H
#define APPHOST_H

#include <stdint.h>

#define APPHOST_IMPORT(module, name) \
    __attribute__((import_module(module), import_name(name)))
#define APPHOST_EXPORT(name) \
    __attribute__((export_name(name), visibility("default")))

/*
 * Connections: import module apphost_v1.
 *
 * A handler exports process_connection, and child_init if it has something to
 * prepare. Each connection has an instance of its own, in which child_init has
 * run, or one as it was then:
 *
 *   APPHOST_EXPORT("process_connection") int32_t process_connection(void);
 *   APPHOST_EXPORT("child_init")         int32_t child_init(void);
 *
 * Both return 0 for success.
 *
 * Or it is a program whose main function accepts connections in a loop:
 *
 *   int main(void)
 *   {
 *       while (apphost_accept() == 0)
 *           serve();
 *   }
 *
 * It is built with wasi-libc, --target=wasm32-wasi and no -mexec-model, and
 * exports neither of the above. Each connection finds it as it was in its first
 * call of apphost_accept, with the values that all variables had then.
 *
 * Calls wait until they are done. A negative result
 * is a negated error number, see below. A getter returns the length of the
 * value and writes nothing if that is more than limit.
 */

/* Waits for a connection; the one before is closed. Returns 0. */
APPHOST_IMPORT("apphost_v1", "accept")
int32_t apphost_accept(void);

/* Reads at least one byte; 0 is the end of the stream. len must not be 0. */
APPHOST_IMPORT("apphost_v1", "conn_read")
int32_t apphost_read(void *buf, uint32_t len);

/* Writes all of buf and returns len. */
APPHOST_IMPORT("apphost_v1", "conn_write")
int32_t apphost_write(const void *buf, uint32_t len);

/* Ends the write direction; how is APPHOST_SHUTDOWN_WRITE. */
APPHOST_IMPORT("apphost_v1", "conn_shutdown")
int32_t apphost_shutdown(uint32_t how);
#define APPHOST_SHUTDOWN_WRITE 1

/* Getter for a fact about the connection; empty if it does not apply. */
APPHOST_IMPORT("apphost_v1", "conn_info")
int32_t apphost_info(uint32_t key, void *buf, uint32_t limit);
#define APPHOST_INFO_PEER_ADDR 1       /* HOST:PORT of the client */
#define APPHOST_INFO_LOCAL_ADDR 2      /* HOST:PORT it connected to */
#define APPHOST_INFO_LISTENER 3        /* name of the listener */
#define APPHOST_INFO_TLS_SERVER_NAME 4 /* the name the client asked for */
#define APPHOST_INFO_ALPN 5            /* the negotiated protocol */
#define APPHOST_INFO_CONN_ID 6         /* as in the server's logs */

/* Bounds each later read or write in milliseconds; 0 is the default, which is
 * the listener's read_timeout or write_timeout. */
APPHOST_IMPORT("apphost_v1", "conn_set_timeout")
int32_t apphost_set_timeout(uint32_t which, uint32_t ms);
#define APPHOST_TIMEOUT_READ 1
#define APPHOST_TIMEOUT_WRITE 2

/* Getter for one value of the plugin's configuration, as text; the empty key
 * gives all of it as a JSON object. */
APPHOST_IMPORT("apphost_v1", "config_get")
int32_t apphost_config(const char *key, uint32_t key_len, void *buf, uint32_t limit);

/* Writes a line to the server's error log. */
APPHOST_IMPORT("apphost_v1", "log")
int32_t apphost_log(int32_t level, const char *message, uint32_t len);

/* 1 once the server asked this child to leave, else 0. */
APPHOST_IMPORT("apphost_v1", "stopping")
int32_t apphost_stopping(void);

/* Error numbers, those of WASI preview 1, returned negated. */
#define APPHOST_ECONNRESET 15 /* the client cut the connection */
#define APPHOST_EFAULT 21     /* a pointer or length is outside the memory */
#define APPHOST_EINVAL 28     /* a number is none of those allowed */
#define APPHOST_EIO 29        /* any other failure; the server's log has it */
#define APPHOST_ENOENT 44     /* no such configuration key */
#define APPHOST_ENOTCONN 53   /* there is no connection, as in child_init */
#define APPHOST_EPIPE 64      /* the connection is closed for writing */
#define APPHOST_ETIMEDOUT 73  /* the timeout passed */

/* Log levels of both modules. */
#define APPHOST_LOG_DEBUG (-1)
#define APPHOST_LOG_INFO 0
#define APPHOST_LOG_WARN 1
#define APPHOST_LOG_ERROR 2

/*
 * Random numbers, of both kinds of handler. What was drawn before the first
 * connection or request, in _initialize, child_init or the warm-up, is the same in
 * each of them; what apphost_random fills in is new in each call. So does
 *
 *   srand(apphost_seed());
 *
 * at the beginning of process_connection or handle_request make rand() of a C
 * library differ from one to the next.
 */

/* Fills buf with random bytes, fit for secrets. Returns 0. */
APPHOST_IMPORT("wasi_snapshot_preview1", "random_get")
int32_t apphost_random(void *buf, uint32_t len);

/* A number to seed a generator with. */
static inline uint32_t apphost_seed(void)
{
    uint32_t seed;
    apphost_random(&seed, sizeof seed);
    return seed;
}

/*
 * HTTP requests: import module http_handler, the http-wasm handler ABI
 * (https://http-wasm.io/http-handler-abi/).
 *
 * A handler exports
 *
 *   APPHOST_EXPORT("handle_request")  int64_t handle_request(void);
 *   APPHOST_EXPORT("handle_response") void handle_response(int32_t ctx, int32_t is_error);
 *
 * handle_request returns 0 when the response is complete, or HTTP_NEXT(ctx) to
 * let the chain continue; handle_response then gets ctx.
 *
 * A getter returns the length of the value and writes nothing if that is more
 * than limit. A list is a sequence of NUL-terminated strings; its getter
 * returns the count in the upper and the bytes in the lower 32 bits. A call
 * out of order, or a pointer outside the memory, ends the request with 500.
 */
#define HTTP_NEXT(ctx) ((int64_t)(ctx) << 32 | 1)

#define HTTP_REQUEST 0 /* kinds of header block; the first two also of body */
#define HTTP_RESPONSE 1
#define HTTP_REQUEST_TRAILERS 2
#define HTTP_RESPONSE_TRAILERS 3

#define HTTP_BUFFER_REQUEST 1 /* features */
#define HTTP_BUFFER_RESPONSE 2
#define HTTP_TRAILERS 4

/* Asks for features and returns those that are now on. */
APPHOST_IMPORT("http_handler", "enable_features")
uint32_t http_enable_features(uint32_t features);

/* The plugin's configuration, a JSON object. */
APPHOST_IMPORT("http_handler", "get_config")
uint32_t http_get_config(void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "log_enabled")
uint32_t http_log_enabled(int32_t level);

APPHOST_IMPORT("http_handler", "log")
void http_log(int32_t level, const char *message, uint32_t len);

APPHOST_IMPORT("http_handler", "get_method")
uint32_t http_get_method(void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "set_method")
void http_set_method(const char *method, uint32_t len);

/* Path and query as received. */
APPHOST_IMPORT("http_handler", "get_uri")
uint32_t http_get_uri(void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "set_uri")
void http_set_uri(const char *uri, uint32_t len);

APPHOST_IMPORT("http_handler", "get_protocol_version")
uint32_t http_get_protocol_version(void *buf, uint32_t limit);

/* HOST:PORT of the client. */
APPHOST_IMPORT("http_handler", "get_source_addr")
uint32_t http_get_source_addr(void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "get_header_names")
uint64_t http_get_header_names(uint32_t kind, void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "get_header_values")
uint64_t http_get_header_values(uint32_t kind, const char *name, uint32_t name_len,
                                void *buf, uint32_t limit);

APPHOST_IMPORT("http_handler", "set_header_value")
void http_set_header_value(uint32_t kind, const char *name, uint32_t name_len,
                           const char *value, uint32_t value_len);

APPHOST_IMPORT("http_handler", "add_header_value")
void http_add_header_value(uint32_t kind, const char *name, uint32_t name_len,
                           const char *value, uint32_t value_len);

APPHOST_IMPORT("http_handler", "remove_header")
void http_remove_header(uint32_t kind, const char *name, uint32_t name_len);

/* Reads from a body until buf is full or the body ends: the length read in the
 * lower 32 bits, and 1 in the upper ones at the end. len must not be 0. */
APPHOST_IMPORT("http_handler", "read_body")
uint64_t http_read_body(uint32_t kind, void *buf, uint32_t len);

/* Adds to a body. The server holds the first call back; the second sends the
 * header and what was held, and later ones are sent as they are made. */
APPHOST_IMPORT("http_handler", "write_body")
void http_write_body(uint32_t kind, const void *buf, uint32_t len);

APPHOST_IMPORT("http_handler", "get_status_code")
uint32_t http_get_status_code(void);

APPHOST_IMPORT("http_handler", "set_status_code")
void http_set_status_code(uint32_t status);

#endif
