/* Calls with a window of calls in flight, as the lines of standard input say: see benchmarks/load.py.
 * Publishes mandatory with confirms, and acknowledges replies. */

#include <inttypes.h>
#include <time.h>

#include "common.h"

#define BODY                                                                                                   \
  "{\"id\":\"cnt_000000042\",\"name\":\"Jane Smith\",\"company\":\"Acme Corporation\","                         \
  "\"email\":\"jane.smith@acme-corp.example\",\"tags\":[\"customer\",\"newsletter\"],"                          \
  "\"owner\":{\"id\":17,\"team\":\"sales-emea\"},\"score\":87.5,\"notes\":\"call back in May\"}"

static amqp_connection_state_t connection;
static amqp_bytes_t reply_queue;
static uint64_t called, answered, confirmed;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void call(void) {
  char id[24];
  snprintf(id, sizeof id, "%" PRIu64, ++called);
  amqp_basic_properties_t properties;
  memset(&properties, 0, sizeof properties);
  properties._flags = AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
  properties.correlation_id = amqp_cstring_bytes(id);
  properties.reply_to = reply_queue;
  properties.content_type = amqp_cstring_bytes("application/json");
  publish(connection, amqp_cstring_bytes(QUEUE), &properties, amqp_cstring_bytes(BODY));
}

/* Reads one method: a confirm, or a reply, which it checks and acknowledges. */
static void hear(void) {
  static char body[65536];
  amqp_frame_t frame;
  amqp_maybe_release_buffers(connection);
  if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("reading");
  if (frame.frame_type != AMQP_FRAME_METHOD) fail("expecting a method");
  if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->delivery_tag > confirmed) confirmed = ack->delivery_tag;
  } else if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
    uint64_t tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
    amqp_basic_properties_t *reply;
    size_t size = read_content(connection, &reply, body, sizeof body);
    uint64_t id = 0;
    for (size_t i = 0; i < reply->correlation_id.len; i++)
      id = id * 10 + (uint64_t)(((char *)reply->correlation_id.bytes)[i] - '0');
    /* One server, one queue: replies come in the order of the calls. */
    if (id != ++answered || size != sizeof BODY - 1 || memcmp(body, BODY, size)) fail("comparing a reply");
    if (amqp_basic_ack(connection, CHANNEL, tag, 0)) fail("acknowledging");
  } else {
    fail("calling (a call was returned or refused)");
  }
}

static int ascending(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

static void one(double seconds) {
  static double durations[1 << 20];
  size_t count = 0;
  double began = now(), before = began;
  while (before < began + seconds && count < sizeof durations / sizeof *durations) {
    call();
    while (answered < called) hear();
    double after = now();
    durations[count++] = after - before;
    before = after;
  }
  qsort(durations, count, sizeof *durations, ascending);
  printf("{\"calls\": %zu, \"seconds\": %.9f, \"p50\": %.9f, \"p99\": %.9f}\n", count, before - began,
         durations[count / 2], durations[(size_t)(0.99 * (double)count)]);
}

static void many(uint64_t in_flight, double seconds) {
  uint64_t first = called;
  double began = now();
  while (now() < began + seconds) {
    while (called - answered < in_flight) call();
    hear();
  }
  while (answered < called) hear();
  printf("{\"calls\": %" PRIu64 ", \"seconds\": %.9f}\n", called - first, now() - began);
}

int main(int count, char **arguments) {
  if (count != 2) fail("usage: call URL;");
  connection = open_connection(arguments[1]);
  amqp_queue_declare_ok_t *declared =
      amqp_queue_declare(connection, CHANNEL, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
  check(connection, "declaring the reply queue");
  reply_queue = amqp_bytes_malloc_dup(declared->queue);
  amqp_basic_consume(connection, CHANNEL, reply_queue, amqp_empty_bytes, 0, 0, 1, amqp_empty_table);
  check(connection, "consuming");
  puts("ready");
  fflush(stdout);

  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    double seconds;
    uint64_t in_flight;
    if (sscanf(line, "one %lf", &seconds) == 1)
      one(seconds);
    else if (sscanf(line, "many %" SCNu64 " %lf", &in_flight, &seconds) == 2)
      many(in_flight, seconds);
    else
      fail("understanding a line");
    while (confirmed < called) hear();
    fflush(stdout);
  }
  return 0;
}
