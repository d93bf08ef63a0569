// What becomes of threads that compute while the interpreter ends.
//
// A daemon thread that asks for the interpreter then is ended by Python before 3.14 where it stands: pthread_exit
// unwinds its stack, and std::terminate is called as soon as that meets C++ that lets no exception pass, as nanobind's
// functions and torch's guards do. So the process would abort instead of giving the status it was about to give. Here
// the thread waits for the end of the process instead, as Python 3.14 has it.

#pragma once

#include <Python.h>

namespace statewise {

// To be called when the module is made: from the end of the interpreter on, threads that Python ends wait, wherever
// they stand, in torch's functions too.
void outlive_interpreter();

// The interpreter is free for other threads as long as this lives.
class InterpreterReleased {
 public:
  InterpreterReleased() : state_(PyEval_SaveThread()) {}
  ~InterpreterReleased();
  InterpreterReleased(const InterpreterReleased&) = delete;
  InterpreterReleased& operator=(const InterpreterReleased&) = delete;

 private:
  PyThreadState* const state_;
};

}  // namespace statewise
