// One instruction set's copy of the cells that come with statewise, compiled like kernels.cpp.

#include "cell.hpp"
#include "generated_cells.hpp"

namespace statewise {
namespace STATEWISE_NS {

extern const Cell cells[];
extern const int cell_count;
const Cell cells[] = {
#define STATEWISE_CELL(type) cell<type>(),
#include "generated_cells.def"
#undef STATEWISE_CELL
};
const int cell_count = sizeof cells / sizeof *cells;

}  // namespace STATEWISE_NS
}  // namespace statewise
