#include "finalize.hpp"

#include <nanobind/nanobind.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <thread>

namespace nb = nanobind;

namespace statewise {
namespace {

[[noreturn]] void wait_for_the_end() {
  for (;;) pause();
}

#if PY_VERSION_HEX < 0x030E0000

bool finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}

std::terminate_handler handler_before = nullptr;
std::thread::id finalizer;

// An unwinding that Python began is no exception in flight; everything else goes on as it would.
[[noreturn]] void terminate() {
  if (finalizing() && std::this_thread::get_id() != finalizer && !std::current_exception()) wait_for_the_end();
  handler_before();
  std::abort();
}

#endif

}  // namespace

InterpreterReleased::~InterpreterReleased() {
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {  // pthread_exit's, which no C function but that throws
    wait_for_the_end();
  }
}

void outlive_interpreter() {
#if PY_VERSION_HEX < 0x030E0000
  nb::module_::import_("atexit").attr("register")(nb::cpp_function([] {
    finalizer = std::this_thread::get_id();
    handler_before = std::set_terminate(terminate);
  }));
#endif
}

}  // namespace statewise
