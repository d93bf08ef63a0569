// How the thread that owns a group, and takes it through time, hands work to threads that have none of their own.
//
// Plain functions, so that every instruction set's copy of the kernels can call them (see simd.hpp).

#pragma once

#include <stdint.h>

namespace statewise {

// The work that one owner has handed out. Everybody takes pieces of the oldest work that isn't finished; the next one
// is begun when it is. So works may depend on those before them, and nothing depends on how many hands there are.
struct Helpers;

// Hands out run(work, 0) ... run(work, pieces - 1). `work` must live until they are done. Gives the ticket to wait
// with.
int64_t hand_out(Helpers& helpers, void (*run)(const void* work, int64_t piece), const void* work, int64_t pieces);

// Works along until everything up to `ticket` is done.
void finish(Helpers& helpers, int64_t ticket);

// How far a layer has come: published by its owner, waited for by those of the next layer, who help any owner
// meanwhile.
void publish(Helpers& helpers, int64_t* progress, int64_t steps);
bool reached(const int64_t* progress, int64_t steps);
void wait_for(Helpers& helpers, const int64_t* progress, int64_t steps);

}  // namespace statewise
