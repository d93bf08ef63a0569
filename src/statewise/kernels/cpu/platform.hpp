// What each operating system calls otherwise.

#pragma once

#include <string>

namespace statewise {

// The shared library at `path`, for good. Throws std::invalid_argument with the system's words.
void* open_library(const std::string& path);
void* find_symbol(void* library, const char* name);  // null where it has none

// What everybody in this process sees under the name; null where there is none.
void* find_global_symbol(const char* name);

// Whether this process came from another by fork and never became a program of its own: threads that the other had
// are missing then, and who relies on them waits for ever. False where nobody knows.
bool came_from_fork();

// Calls `then` in every process that comes from this one by fork.
void after_fork(void (*then)());

}  // namespace statewise
