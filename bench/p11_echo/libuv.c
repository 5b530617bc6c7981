// Echo server on libuv, at its leanest: one buffer for all connections, and uv_try_write first, so that a request is
// allocated only when a socket is full.
//
//   libuv PORT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

static char shared_buffer[512];

struct write_request {
  uv_write_t request;
  char data[];
};

static void on_close(uv_handle_t* handle) { free(handle); }

static void on_written(uv_write_t* request, int status) {
  if (status < 0 && !uv_is_closing((uv_handle_t*)request->handle)) uv_close((uv_handle_t*)request->handle, on_close);
  free(request);
}

static void give_buffer(uv_handle_t* handle, size_t wanted, uv_buf_t* buffer) {
  (void)handle;
  (void)wanted;
  *buffer = uv_buf_init(shared_buffer, sizeof shared_buffer);
}

static void on_read(uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
  if (n < 0) {
    uv_close((uv_handle_t*)stream, on_close);
    return;
  }
  if (n == 0) return;
  uv_buf_t out = uv_buf_init(buffer->base, (unsigned)n);
  int written = uv_try_write(stream, &out, 1);
  if (written == (int)n) return;
  if (written < 0) written = 0;
  size_t left = (size_t)n - (size_t)written;
  struct write_request* request = malloc(sizeof *request + left);
  memcpy(request->data, buffer->base + written, left);
  out = uv_buf_init(request->data, (unsigned)left);
  uv_write(&request->request, stream, &out, 1, on_written);
}

static void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  uv_tcp_t* connection = malloc(sizeof *connection);
  uv_tcp_init(listener->loop, connection);
  if (uv_accept(listener, (uv_stream_t*)connection) != 0) {
    uv_close((uv_handle_t*)connection, on_close);
    return;
  }
  uv_tcp_nodelay(connection, 1);
  uv_read_start((uv_stream_t*)connection, give_buffer, on_read);
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: libuv PORT\n");
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  uv_tcp_t listener;
  struct sockaddr_in address;
  uv_tcp_init(uv_default_loop(), &listener);
  uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
  uv_tcp_bind(&listener, (const struct sockaddr*)&address, 0);
  int error = uv_listen((uv_stream_t*)&listener, 4096, on_connection);
  if (error != 0) {
    fprintf(stderr, "libuv: listen: %s\n", uv_strerror(error));
    return 1;
  }
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
