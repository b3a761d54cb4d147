// Whom an export of the ledger is believed: the key that must have signed it, and heads that were kept
// elsewhere. Without them a file proves itself alone, which whoever hands it over may have made.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "ledger/ledger.h"

namespace merlon::cli {

struct LedgerTrust {
  std::string key;                     // a file: a public key in PEM
  std::vector<std::string> witnesses;  // files of signed heads
};

void add_ledger_trust(Command& command, LedgerTrust& trust);  // --key, --witness
Result<ledger::VerifyOptions> read_ledger_trust(const LedgerTrust& trust);
// What was not given, and what cannot be noticed without it; empty when all was.
std::string words_on_ledger_trust(const LedgerTrust& trust);

}  // namespace merlon::cli
