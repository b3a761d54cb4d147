// The offline verifier. One pass over the file in constant memory: lines are hashed as they come, the
// frontier gives the root at every size that a witness names, and the last line must be a head that signs
// exactly what was read.
#include <fmt/format.h>

#include <algorithm>
#include <istream>

#include "crypto/key.h"
#include "ledger/export_format.h"
#include "ledger/head_signer.h"

namespace merlon::ledger {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

std::unexpected<Error> broken(uint64_t line, std::string_view code, std::string why) {
  return fail(ErrorKind::invalid, code, fmt::format("Line {}: {}", line, why), fmt::format("line {}", line));
}

class LineReader {
 public:
  explicit LineReader(std::istream& file) : file_(file), buffer_(kReadBytes) {}

  // The next line without its end; nothing at the end of the file. A last line without line end is an error:
  // it is what a file that was cut short looks like.
  Result<std::optional<std::string>> next() {
    std::string line;
    for (;;) {
      if (used_ == filled_ && !fill()) break;
      const char* begin = buffer_.data() + used_;
      const char* end = buffer_.data() + filled_;
      const char* newline = std::find(begin, end, '\n');
      line.append(begin, newline);
      used_ += static_cast<size_t>(newline - begin);
      if (line.size() > kExportLineBytesMax) {
        return broken(
            number_ + 1, "LedgerFileMalformed",
            fmt::format("it is longer than {} bytes, which no line of an export is.", kExportLineBytesMax));
      }
      if (newline == end) continue;
      ++used_;
      ++number_;
      return std::optional(std::move(line));
    }
    if (file_.bad())
      return fail(ErrorKind::unavailable, "LedgerFileUnreadable",
                  "The file could not be read to its end. Try again.");
    if (line.empty()) return std::optional<std::string>();
    return broken(number_ + 1, "LedgerCutShort",
                  "the file was cut short within this line: it has no line end.");
  }
  uint64_t number() const { return number_; }  // of the line that next() gave

 private:
  bool fill() {
    file_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    filled_ = static_cast<size_t>(file_.gcount());
    used_ = 0;
    return filled_ > 0;
  }

  std::istream& file_;
  std::vector<char> buffer_;
  size_t used_ = 0;
  size_t filled_ = 0;
  uint64_t number_ = 0;
};

class ExportVerifier {
 public:
  ExportVerifier(std::istream& file, const VerifyOptions& options)
      : lines_(file), options_(options), witnesses_(options.witnesses) {
    std::sort(witnesses_.begin(), witnesses_.end(),
              [](const SignedHead& a, const SignedHead& b) { return a.size < b.size; });
  }

  Result<VerifyReport> run() {
    compare_witnesses();
    for (;;) {
      const auto line = TRY(lines_.next());
      if (!line) {
        return broken(lines_.number() + 1, "LedgerCutShort",
                      "the file ends without a signed head: it was cut short, or the export did not finish.");
      }
      if (looks_like_head(*line)) return finish(*line);
      TRY(take_entry(*line));
      compare_witnesses();
    }
  }

 private:
  Result<void> take_entry(const std::string& line) {
    const auto entry = entry_of_line(line);
    if (!entry) {
      return broken(lines_.number(), "LedgerFileMalformed",
                    "it is not a line as export writes it: it was changed, or is no part of the ledger.");
    }
    if (entry->index != frontier_.size) return out_of_order(entry->index);
    const Hash leaf = salted_leaf(entry->stored.salt, entry->stored.text);
    if (to_hex(leaf) != entry->leaf_hex) {
      return broken(
          lines_.number(), "LedgerEntryChanged",
          fmt::format("entry {} was changed: its content does not give its leaf hash.", entry->index));
    }
    if (!parse_json_object(entry->stored.text,
                           {.bytes_max = kEntryTextBytesMax, .depth_max = kEntryDepthMax})) {
      return broken(lines_.number(), "LedgerEntryChanged",
                    fmt::format("entry {} is not a JSON object, which every entry is.", entry->index));
    }
    frontier_.append(leaf, nullptr);
    return {};
  }

  // Looks through the rest of the file to tell a swap from a removal.
  std::unexpected<Error> out_of_order(uint64_t index) {
    const uint64_t line = lines_.number();
    const uint64_t expected = frontier_.size;
    if (index < expected) {
      return broken(
          line, "LedgerEntryAdded",
          fmt::format("entry {} stands here again, where entry {} belongs: a line was added or moved.", index,
                      expected));
    }
    for (;;) {
      const auto rest = lines_.next();
      if (!rest || !*rest) break;
      const auto later = entry_of_line(**rest);
      if (!later || later->index != expected) continue;
      return broken(
          line, "LedgerEntrySwapped",
          fmt::format("entry {} stands here, where entry {} belongs, which stands in line {}: lines were "
                      "swapped.",
                      index, expected, lines_.number()));
    }
    return broken(line, "LedgerEntryRemoved",
                  fmt::format("entry {} stands here, where entry {} belongs: {} removed.", index, expected,
                              index - expected == 1 ? std::string("one entry was")
                                                    : fmt::format("{} entries were", index - expected)));
  }

  void compare_witnesses() {
    for (; next_witness_ < witnesses_.size() && witnesses_[next_witness_].size == frontier_.size;
         ++next_witness_) {
      const SignedHead& witness = witnesses_[next_witness_];
      if (witness.root != frontier_.root() && differs_ == nullptr) differs_ = &witness;
    }
  }

  Result<VerifyReport> finish(const std::string& line) {
    const uint64_t number = lines_.number();
    const auto parsed = head_of_line(line);
    if (!parsed) {
      return broken(number, "LedgerFileMalformed",
                    "the signed head or the public key is not as export writes it: it was changed.");
    }
    if (const auto more = TRY(lines_.next()); more) {
      return broken(lines_.number(), "LedgerEntryAdded",
                    "it stands behind the signed head, which is the last line of an export: it was added.");
    }
    const auto key = TRY(crypto::PublicKey::from_pem(parsed->public_key_pem));
    TRY(check_key(number, key));
    if (!head_verifies(parsed->head, key)) {
      return broken(number, "LedgerHeadSignatureInvalid",
                    "the head's signature is wrong: the head was changed, or signed with another key.");
    }
    TRY(check_witnesses(number, parsed->head, key));
    TRY(check_tree(number, parsed->head));
    return VerifyReport{.entries = frontier_.size,
                        .head = parsed->head,
                        .key_was_given = !options_.public_key_pem.empty(),
                        .witnesses_confirmed = witnesses_.size()};
  }

  Result<void> check_key(uint64_t number, const crypto::PublicKey& key) const {
    if (options_.public_key_pem.empty()) return {};
    const auto expected = crypto::PublicKey::from_pem(options_.public_key_pem);
    if (!expected) {
      return fail(ErrorKind::invalid, "LedgerKeyMalformed",
                  "The key to verify with is not a public key in PEM form. Give the file that `merlon ledger "
                  "key` wrote.",
                  "key");
    }
    const std::string wanted = crypto::spki_hash_hex(*expected);
    const std::string found = crypto::spki_hash_hex(key);
    if (wanted == found) return {};
    return broken(
        number, "LedgerKeyMismatch",
        fmt::format("the file is signed with the key {}, not with the expected key {}.", found, wanted));
  }

  Result<void> check_witnesses(uint64_t number, const SignedHead& head, const crypto::PublicKey& key) const {
    for (const SignedHead& witness : witnesses_) {
      if (witness.tenant != head.tenant || !head_verifies(witness, key)) {
        return fail(
            ErrorKind::invalid, "LedgerWitnessInvalid",
            fmt::format("The witness head of size {} is not signed with the key of this file ({}), or is of "
                        "another tenant. Give heads of this ledger.",
                        witness.size, head.key_id),
            "witness");
      }
    }
    if (differs_ != nullptr) {
      return broken(
          number, "LedgerRewritten",
          fmt::format("the first {} entries are not those that the witness head of that size signs: one of "
                      "them was changed, removed, swapped or added.",
                      differs_->size));
    }
    if (next_witness_ < witnesses_.size()) {
      return broken(
          number, "LedgerCutShort",
          fmt::format("the file ends after {} entries, but a witness head counts {}: it was cut short.",
                      frontier_.size, witnesses_.back().size));
    }
    return {};
  }

  Result<void> check_tree(uint64_t number, const SignedHead& head) const {
    if (head.size > frontier_.size) {
      return broken(
          number, "LedgerEntryRemoved",
          fmt::format("the head signs {} entries, but {} stand before it: entries were removed from the end.",
                      head.size, frontier_.size));
    }
    if (head.size < frontier_.size) {
      return broken(number, "LedgerEntryAdded",
                    fmt::format("the head signs {} entries, but {} stand before it: entries were added.",
                                head.size, frontier_.size));
    }
    if (head.root != frontier_.root()) {
      return broken(
          number, "LedgerEntryChanged",
          "the entries do not give the root that the head signs: at least one was changed, removed, swapped "
          "or added, and its number and leaf hash rewritten to hide it.");
    }
    return {};
  }

  LineReader lines_;
  const VerifyOptions& options_;
  std::vector<SignedHead> witnesses_;  // by size
  size_t next_witness_ = 0;
  const SignedHead* differs_ = nullptr;
  Frontier frontier_;
};

}  // namespace

Result<VerifyReport> verify_export(std::istream& file, const VerifyOptions& options) {
  return ExportVerifier(file, options).run();
}

}  // namespace merlon::ledger
