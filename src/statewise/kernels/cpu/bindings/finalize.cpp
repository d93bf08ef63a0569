#include "finalize.hpp"

#include <nanobind/nanobind.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <thread>

#include "platform.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

[[noreturn]] void wait_for_the_end() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Python 3.14 lets such threads wait by itself. A module of the stable ABI learns where it is when it is loaded.
bool ends_threads() {
#if PY_VERSION_HEX >= 0x030B0000
  return Py_Version < 0x030E0000;
#else
  return true;
#endif
}

// Which of the two names it has depends on the version, and the stable ABI has neither of them before 3.13.
int (*find_finalizing())() {
  void* found = find_global_symbol("Py_IsFinalizing");
  if (!found) found = find_global_symbol("_Py_IsFinalizing");
  return reinterpret_cast<int (*)()>(found);
}

int (*const finalizing)() = find_finalizing();
std::terminate_handler handler_before = nullptr;
std::thread::id finalizer;

// An unwinding that Python began is no exception in flight; everything else goes on as it would.
[[noreturn]] void terminate() {
  if (finalizing && finalizing() && std::this_thread::get_id() != finalizer && !std::current_exception())
    wait_for_the_end();
  handler_before();
  std::abort();
}

}  // namespace

InterpreterReleased::~InterpreterReleased() {
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {  // pthread_exit's, which no C function but that throws
    wait_for_the_end();
  }
}

void outlive_interpreter() {
  if (!ends_threads()) return;
  nb::module_::import_("atexit").attr("register")(nb::cpp_function([] {
    finalizer = std::this_thread::get_id();
    handler_before = std::set_terminate(terminate);
  }));
}

}  // namespace statewise
