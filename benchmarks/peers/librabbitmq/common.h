/* What the two programs share: a connection from an AMQP URL, and an end with a reason. */

#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL 1
#define PREFETCH 256
#define QUEUE "calls"

static void fail(const char *what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

static void check(amqp_connection_state_t connection, const char *what) {
  if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

/* One connection, one channel in confirm mode; publishers and consumers share it, as in librabbitmq's examples. */
static amqp_connection_state_t open_connection(char *url) {
  struct amqp_connection_info info;
  if (amqp_parse_url(url, &info) != AMQP_STATUS_OK) fail("parsing the URL");
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (socket == NULL || amqp_socket_open(socket, info.host, info.port)) fail("connecting");
  amqp_rpc_reply_t reply =
      amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail("login");
  amqp_channel_open(connection, CHANNEL);
  check(connection, "opening a channel");
  amqp_confirm_select(connection, CHANNEL);
  check(connection, "choosing confirms");
  amqp_basic_qos(connection, CHANNEL, 0, PREFETCH, 0);
  check(connection, "setting the prefetch");
  return connection;
}

static void publish(amqp_connection_state_t connection, amqp_bytes_t key, amqp_basic_properties_t *properties,
                    amqp_bytes_t body) {
  if (amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes, key, 1, 0, properties, body) != AMQP_STATUS_OK)
    fail("publishing");
}

/* The header and the body of a delivery; the body goes to `buffer` and its length is returned. */
static size_t read_content(amqp_connection_state_t connection, amqp_basic_properties_t **properties, char *buffer,
                           size_t room) {
  amqp_frame_t frame;
  if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("reading a header");
  if (frame.frame_type != AMQP_FRAME_HEADER) fail("expecting a header");
  *properties = (amqp_basic_properties_t *)frame.payload.properties.decoded;
  size_t size = frame.payload.properties.body_size, got = 0;
  if (size > room) fail("making room for a body");
  while (got < size) {
    if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("reading a body");
    if (frame.frame_type != AMQP_FRAME_BODY) fail("expecting a body");
    memcpy(buffer + got, frame.payload.body_fragment.bytes, frame.payload.body_fragment.len);
    got += frame.payload.body_fragment.len;
  }
  return size;
}

#endif
