# For Windows: Debian's cross compiler, and Wine to run what it makes.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_EXE_LINKER_FLAGS -static)
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/lib/wine/wine64)
