/* Echoes calls: publishes each reply mandatory, and acknowledges a call once RabbitMQ has confirmed its reply. */

#include "common.h"

#define OPEN 4096

static uint64_t call_of[OPEN]; /* delivery tag of the call, by the number of its reply's publish */

int main(int count, char **arguments) {
  if (count != 2) fail("usage: serve URL;");
  amqp_connection_state_t connection = open_connection(arguments[1]);
  amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, amqp_empty_table);
  check(connection, "declaring the queue");
  amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(connection, "consuming");
  puts("ready");
  fflush(stdout);

  uint64_t published = 0;
  char body[65536];
  amqp_frame_t frame;
  for (;;) {
    amqp_maybe_release_buffers(connection);
    if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("reading");
    if (frame.frame_type != AMQP_FRAME_METHOD) fail("expecting a method");
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
      amqp_basic_ack_t *ack = frame.payload.method.decoded;
      /* Calls are answered in the order of their tags: what is confirmed together is acknowledged together. */
      if (amqp_basic_ack(connection, CHANNEL, call_of[ack->delivery_tag % OPEN], ack->multiple)) fail("acknowledging");
    } else if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
      amqp_basic_deliver_t *delivery = frame.payload.method.decoded;
      uint64_t tag = delivery->delivery_tag;
      amqp_basic_properties_t *call;
      size_t size = read_content(connection, &call, body, sizeof body);
      amqp_basic_properties_t reply;
      memset(&reply, 0, sizeof reply);
      reply._flags = AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
      reply.correlation_id = call->correlation_id;
      reply.content_type = amqp_cstring_bytes("application/json");
      call_of[++published % OPEN] = tag;
      publish(connection, call->reply_to, &reply, (amqp_bytes_t){size, body});
    } else {
      fail("answering (a reply was returned or refused)");
    }
  }
}
