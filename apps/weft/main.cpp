#include "cli/commands.hpp"

int main(int argc, char** argv) {
  return weft::app::run_program(argc, argv);
}
