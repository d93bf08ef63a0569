/* filter NETWORK IN.wav OUT.wav: sends audio, one channel of 16 bits, through a network of one input and one output. */

#include <statewise.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 64 };

static unsigned number(const unsigned char *at, int bytes) {
  unsigned value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
  return value;
}

static int failed(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  return 1;
}

/* Copies what is before the samples; how many bytes of samples there are, or 0. */
static unsigned copy_header(FILE *in, FILE *out) {
  unsigned char head[12], chunk[8], body[40];
  if (fread(head, 1, 12, in) < 12 || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4)) return 0;
  fwrite(head, 1, 12, out);
  while (fread(chunk, 1, 8, in) == 8) {
    unsigned size = number(chunk + 4, 4);
    fwrite(chunk, 1, 8, out);
    if (!memcmp(chunk, "data", 4)) return size;
    const int format = !memcmp(chunk, "fmt ", 4);
    for (unsigned left = size + size % 2; left > 0;) {
      const unsigned part = left < sizeof body ? left : sizeof body;
      if (fread(body, 1, part, in) < part) return 0;
      if (format && left == size && (number(body, 2) != 1 || number(body + 2, 2) != 1 || number(body + 14, 2) != 16)) return 0;
      fwrite(body, 1, part, out);
      left -= part;
    }
  }
  return 0;
}

int main(int count, char **words) {
  statewise_error error;
  if (count != 4) return failed("usage", "filter NETWORK IN.wav OUT.wav");
  statewise_network *net = statewise_load(words[1], 1, &error);
  statewise_stream *stream = net ? statewise_stream_new(net, 1, &error) : NULL;
  if (!stream) return failed(words[1], error.message);
  if (statewise_input(net, 0).width != 1 || statewise_result(net, 0).width != 1)
    return failed(words[1], "it isn't a network of one input and one output");
  FILE *in = fopen(words[2], "rb"), *out = fopen(words[3], "wb");
  unsigned left = in && out ? copy_header(in, out) / 2 : 0;
  if (!left) return failed(words[2], "it isn't a WAV file of one channel of 16 bits that can be read, or there is no writing");
  while (left > 0) {
    unsigned char bytes[2 * BLOCK];
    float x[BLOCK], y[BLOCK];
    const unsigned frames = (unsigned)fread(bytes, 2, left < BLOCK ? left : BLOCK, in);
    for (unsigned i = 0; i < frames; ++i) x[i] = (float)(short)number(bytes + 2 * i, 2) / 32768.0f;
    const statewise_status status = statewise_feed(stream, frames, x, y); /* what a plug-in would do for each block */
    if (status) return failed(words[1], statewise_status_text(status));
    for (unsigned i = 0; i < frames; ++i) {
      const float loud = y[i] * 32768.0f;
      const int sample = loud > 32767 ? 32767 : loud < -32768 ? -32768 : (int)(loud < 0 ? loud - 0.5f : loud + 0.5f);
      bytes[2 * i] = (unsigned char)(sample & 255), bytes[2 * i + 1] = (unsigned char)(sample >> 8 & 255);
    }
    fwrite(bytes, 2, frames, out);
    left = frames ? left - frames : 0;
  }
  fclose(in);
  statewise_stream_free(stream);
  statewise_free(net);
  return fclose(out) ? failed(words[3], "it can't be written") : 0;
}
