/* libstatewise: recurrent networks on the CPU. A network is a file that statewise.save has written.
 *
 *   statewise_network *net = statewise_load("amp.safetensors", 1, &error);
 *   statewise_stream *stream = statewise_stream_new(net, 1, &error);
 *   statewise_feed(stream, frames, in, out);            // takes no memory, no lock, makes no system call
 *
 * Letters: T steps, N rows of a batch (streams that step together), F features. What is over time is (T, N, F) in memory,
 * step after step; a network that sums up the steps gives (N, F). Nothing here throws, prints or ends the program.
 * A network may be used by several threads at once, a stream by one at a time. See docs/c.md. */

#ifndef STATEWISE_H
#define STATEWISE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef STATEWISE_API
#if defined(_WIN32) && !defined(STATEWISE_STATIC)
#define STATEWISE_API __declspec(dllimport)
#else
#define STATEWISE_API
#endif
#endif

typedef enum {
  STATEWISE_OK = 0,
  STATEWISE_NO_FILE = 1,     /* the file can't be read */
  STATEWISE_DAMAGED = 2,     /* it isn't whole, or isn't statewise's */
  STATEWISE_UNSUPPORTED = 3, /* it has what this version can't run */
  STATEWISE_UNFIT = 4,       /* what was given doesn't fit: a symbol that there isn't, a missing value, a null pointer */
  STATEWISE_NO_MEMORY = 5,
  STATEWISE_FOREIGN = 6, /* a state that is another network's, or of other rows, or damaged */
  STATEWISE_FAILED = 7   /* anything else; the message says what */
} statewise_status;

typedef struct {
  statewise_status status;
  char message[248]; /* one line, UTF-8 */
} statewise_error;

typedef enum { STATEWISE_FLOAT32 = 0, STATEWISE_FLOAT64 = 1, STATEWISE_INT64 = 2 } statewise_type;

/* An input or a result. INT64 are numbers of symbols, from 0 to width - 1, one for each row and step. */
typedef struct {
  const char *name; /* lives as long as the network */
  statewise_type type;
  size_t width; /* F, or how many symbols there are */
  int over_time; /* 0: (N, F), of all steps by now */
} statewise_port;

typedef struct statewise_network statewise_network;
typedef struct statewise_stream statewise_stream;

/* "0.1.0": of the library. */
STATEWISE_API const char *statewise_version(void);
/* What a status means, in a few words that are always there. */
STATEWISE_API const char *statewise_status_text(statewise_status status);

/* The network in a file, or in memory, which isn't needed afterwards; null where there is an error. threads: on how many
 * a call of statewise_run may compute; streams compute on the caller's. `error` may be null, here and below. */
STATEWISE_API statewise_network *statewise_load(const char *path, int threads, statewise_error *error);
STATEWISE_API statewise_network *statewise_load_memory(const void *data, size_t size, int threads,
                                                       statewise_error *error);
/* Null is fine. Streams go on, and keep what they need. */
STATEWISE_API void statewise_free(statewise_network *network);

STATEWISE_API size_t statewise_inputs(const statewise_network *network);
STATEWISE_API size_t statewise_results(const statewise_network *network);
STATEWISE_API statewise_port statewise_input(const statewise_network *network, size_t input);
STATEWISE_API statewise_port statewise_result(const statewise_network *network, size_t result);
/* How many steps a result has of so many: as many, but of convolutions and segments. */
STATEWISE_API size_t statewise_result_steps(const statewise_network *network, size_t result, size_t steps);
/* Whether it can read a step at a time: not where a layer reads backwards. */
STATEWISE_API int statewise_streams(const statewise_network *network);

/* Whole sequences. inputs: a pointer for each input, (T, N, F) of its type, symbols (T, N). results: likewise, memory
 * that is written. lengths: how many steps of each row count, (N,); null: all. Results past a row's end are zero. */
STATEWISE_API statewise_status statewise_run(const statewise_network *network, size_t steps, size_t rows,
                                             const int64_t *lengths, const void *const *inputs, void *const *results,
                                             statewise_error *error);

/* Rows that have read nothing yet; null where there is an error. */
STATEWISE_API statewise_stream *statewise_stream_new(const statewise_network *network, size_t rows,
                                                     statewise_error *error);
STATEWISE_API void statewise_stream_free(statewise_stream *stream);

/* These take no memory and no lock, and make no system call. */

/* As if nothing had been read. */
STATEWISE_API void statewise_reset(statewise_stream *stream);
/* One more step: (N, F) of each input, and of each result. After an error the stream is to be reset, or to load a
 * state. */
STATEWISE_API statewise_status statewise_step(statewise_stream *stream, const void *const *inputs,
                                              void *const *results);
/* `steps` more of a network with one input and one result, both float: x (T, N, F), y (T, N, F), of each step what it
 * gives by then: the very numbers that as many single steps give, sooner where the network is large. */
STATEWISE_API statewise_status statewise_feed(statewise_stream *stream, size_t steps, const float *x, float *y);
/* The state as bytes, with a version and a checksum, for this very network and number of rows, on a machine of this byte
 * order. size: statewise_state_size(stream). Memory is aligned as malloc's. */
STATEWISE_API size_t statewise_state_size(const statewise_stream *stream);
STATEWISE_API statewise_status statewise_state_save(const statewise_stream *stream, void *to, size_t size);
/* STATEWISE_FOREIGN, and the stream is as it was, for anything else. */
STATEWISE_API statewise_status statewise_state_load(statewise_stream *stream, const void *from, size_t size);

#ifdef __cplusplus
}
#endif

#endif
