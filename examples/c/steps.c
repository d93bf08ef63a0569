/* steps NETWORK: reads a row of numbers from each line of the standard input, and prints what the network gives. */

#include <statewise.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
  statewise_error error;
  statewise_network *net = count == 2 ? statewise_load(words[1], 1, &error) : NULL;
  if (count != 2) {
    fprintf(stderr, "usage: steps NETWORK\n");
    return 2;
  }
  statewise_stream *stream = net ? statewise_stream_new(net, 1, &error) : NULL;
  if (!stream) {
    fprintf(stderr, "%s: %s\n", words[1], error.message);
    return 1;
  }
  const size_t in = statewise_input(net, 0).width, out = statewise_result(net, 0).width;
  float *x = malloc(in * sizeof *x), *y = malloc(out * sizeof *y);
  while (x && y) {
    size_t read = 0;
    while (read < in && scanf("%f", &x[read]) == 1) ++read;
    if (read < in) break;
    const statewise_status status = statewise_feed(stream, 1, x, y);
    if (status) {
      fprintf(stderr, "%s\n", statewise_status_text(status));
      return 1;
    }
    for (size_t i = 0; i < out; ++i) printf(i + 1 < out ? "%.6g " : "%.6g\n", y[i]);
  }
  free(x);
  free(y);
  statewise_stream_free(stream);
  statewise_free(net);
  return 0;
}
