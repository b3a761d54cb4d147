// Reading keys and witnesses.
#include "cli/ledger_trust.h"

#include "base/text.h"
#include "cli/private_files.h"

namespace merlon::cli {
namespace {

// One head a line, as 'merlon ledger head' prints them; the answer of --output json is taken too.
Result<void> read_witnesses(const std::string& path, std::vector<ledger::SignedHead>& heads) {
  const std::string text = TRY(read_named_file(path));
  const auto whole = parse_json_object(text);
  if (whole && whole->contains("head")) {
    const JsonObject* inner = object_at(*whole, "head");
    if (inner == nullptr)
      return fail(ErrorKind::invalid, "WitnessUnreadable", "'" + path + "' holds no signed head.");
    heads.push_back(TRY(ledger::SignedHead::from_json(*inner)));
    return {};
  }
  size_t number = 0;
  const size_t before = heads.size();
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    const auto json = parse_json_object(line);
    auto parsed = json ? ledger::SignedHead::from_json(*json)
                       : Result<ledger::SignedHead>(std::unexpected(json.error()));
    if (!parsed)
      return fail(ErrorKind::invalid, "WitnessUnreadable",
                  "Line " + std::to_string(number) + " of '" + path +
                      "' is no signed head: " + parsed.error().message);
    heads.push_back(*std::move(parsed));
  }
  if (heads.size() == before)
    return fail(ErrorKind::invalid, "WitnessUnreadable", "'" + path + "' holds no signed head.");
  return {};
}

}  // namespace

void add_ledger_trust(Command& command, LedgerTrust& trust) {
  command.text("--key", trust.key, "Public key (PEM) that must have signed the ledger")
      .texts("--witness", trust.witnesses,
             "Files of heads that were kept elsewhere: the export must contain them");
}

Result<ledger::VerifyOptions> read_ledger_trust(const LedgerTrust& trust) {
  ledger::VerifyOptions options;
  if (!trust.key.empty()) options.public_key_pem = TRY(read_named_file(trust.key));
  for (const std::string& path : trust.witnesses) TRY(read_witnesses(path, options.witnesses));
  return options;
}

std::string words_on_ledger_trust(const LedgerTrust& trust) {
  std::string text;
  if (trust.key.empty()) text += "The file's own key was trusted. Give --key to be sure who signed it.\n";
  if (trust.witnesses.empty())
    text +=
        "Without --witness, entries cut off at the end cannot be noticed: keep 'merlon ledger head' "
        "elsewhere.\n";
  return text;
}

}  // namespace merlon::cli
