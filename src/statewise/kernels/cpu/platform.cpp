#include "platform.hpp"

#include <cstdio>
#include <cstring>
#include <stdexcept>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace statewise {

#if defined(_WIN32)

void* open_library(const std::string& path) {
  const HMODULE library = LoadLibraryA(path.c_str());
  if (!library) throw std::invalid_argument(path + ": error " + std::to_string(GetLastError()) + " of LoadLibrary");
  return reinterpret_cast<void*>(library);
}

void* find_symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}

void* find_global_symbol(const char*) { return nullptr; }  // here a name is always a library's

bool came_from_fork() { return false; }

void after_fork(void (*)()) {}

#else

void* open_library(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::invalid_argument(dlerror());
  return library;
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

void* find_global_symbol(const char* name) { return dlsym(RTLD_DEFAULT, name); }

// As proc(5) has it.
bool came_from_fork() {
  unsigned flags = 0;
#if defined(__linux__)
  constexpr unsigned kForkedNoExec = 0x40;  // PF_FORKNOEXEC
  char line[512] = "";
  if (std::FILE* stat = std::fopen("/proc/self/stat", "r")) {
    line[std::fread(line, 1, sizeof line - 1, stat)] = '\0';
    std::fclose(stat);
  }
  const char* const name_end = std::strrchr(line, ')');  // the name may hold anything
  if (name_end) std::sscanf(name_end, ") %*c %*d %*d %*d %*d %*d %u", &flags);
  flags &= kForkedNoExec;
#endif
  return flags != 0;
}

void after_fork(void (*then)()) { pthread_atfork(nullptr, nullptr, then); }

#endif

}  // namespace statewise
