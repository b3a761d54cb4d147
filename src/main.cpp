// The program `merlon`: server, agent and command line in one.
#include "cli/cli.h"

int main(int argc, char** argv) { return merlon::cli::main(argc, argv); }
