// Every kind of tampering, over real exports: the verifier must name what was done and where.
#include <fstream>

#include "crypto/key.h"
#include "ledger/export_format.h"
#include "ledger/export_part.h"
#include "ledger/head_signer.h"
#include "ledger/ledger_fixture.h"

namespace merlon::ledger {
namespace {

using ::testing::HasSubstr;

class VerifyTest : public LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    append_many(0, 5);
    at_5_ = head();
    append_many(5, 7);
    at_12_ = head();
    lines_ = export_all();
    ASSERT_EQ(lines_.size(), 13U);
  }

  static void expect_refused(const std::vector<std::string>& lines, std::string_view code,
                             std::string_view text, const VerifyOptions& options = {}) {
    const auto report = verify(file_of(lines), options);
    ASSERT_FALSE(report) << code;
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_THAT(report.error().message, HasSubstr(std::string(text)));
  }

  // What an attacker without the signing key can do best: numbers and leaf hashes are rewritten to fit.
  static std::vector<std::string> renumbered(const std::vector<std::string>& lines) {
    std::vector<std::string> out;
    for (size_t i = 0; i + 1 < lines.size(); ++i) out.push_back(to_line(i, entry_of_line(lines[i])->stored));
    out.push_back(lines.back());
    return out;
  }
  // What whoever has the key can do: sign a head over whatever stands before it.
  static std::vector<std::string> resigned(std::vector<std::string> lines, const HeadSigner& signer,
                                           const TenantId& tenant) {
    Frontier frontier;
    for (size_t i = 0; i + 1 < lines.size(); ++i) {
      const auto entry = entry_of_line(lines[i]);
      frontier.append(salted_leaf(entry->stored.salt, entry->stored.text), nullptr);
    }
    lines.back() = to_line(HeadLine{*signer.sign(tenant, frontier, Timestamp()), signer.pem()});
    return lines;
  }
  HeadSigner stolen_key() {
    const auto row = *store::read_value<std::optional<store::Row>>(
        *store_, [&](store::Reader& reader) { return reader.get(keys_table(), TenantId(), "signing"); });
    const JsonObject json = *parse_json_object(row->body);
    const std::string id = *string_at(json, "keyId");
    const auto der = seal_->open("ledger_keys/" + id + "/private/1", *string_at(json, "private"));
    return HeadSigner(*crypto::PrivateKey::from_pkcs8_der(*der));
  }

  SignedHead at_5_, at_12_;
  std::vector<std::string> lines_;
};

TEST_F(VerifyTest, AnUntouchedExportHolds) {
  auto report = verify(file_of(lines_));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->entries, 12U);
  EXPECT_EQ(report->head.root, at_12_.root);
  EXPECT_FALSE(report->key_was_given);
  report =
      verify(file_of(lines_), {.public_key_pem = ledger_->public_key_pem(), .witnesses = {at_12_, at_5_}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->key_was_given);
  EXPECT_EQ(report->witnesses_confirmed, 2U);
}

TEST_F(VerifyTest, AnEmptyLedgerExports) {
  std::vector<std::string> only_head = resigned({lines_.back()}, stolen_key(), tenant_);
  const auto report = verify(file_of(only_head));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->entries, 0U);
}

TEST_F(VerifyTest, EveryLineIsStrictJsonWithTheNamedMembers) {
  for (size_t i = 0; i < 12; ++i) {
    const auto json = parse_json_object(lines_[i]);
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ(int_at(*json, "index"), static_cast<int64_t>(i));
    EXPECT_EQ(string_at(*json, "salt")->size(), 32U);
    EXPECT_EQ(string_at(*json, "leafHash")->size(), 64U);
    EXPECT_EQ(string_at(*json, "entry.actor.name"), "anna@contoso.example");
    EXPECT_EQ(string_at(*json, "entry.decision"), "allowed");
    EXPECT_EQ(string_at(*json, "entry.requestId"), "req-" + std::to_string(i));
  }
}

TEST_F(VerifyTest, EqualEntriesHaveDifferentLeaves) {
  ASSERT_TRUE(append(entry(50)));
  ASSERT_TRUE(append(entry(50)));
  const auto lines = export_all();
  EXPECT_NE(entry_of_line(lines[12])->leaf_hex, entry_of_line(lines[13])->leaf_hex);
}

// Not one bit of the file can change: every byte of an export is bound by a hash, a signature, or its form.
TEST_F(VerifyTest, EveryChangedByteIsFound) {
  const std::vector<std::string> few = resigned({lines_[0], lines_[1], lines_.back()}, stolen_key(), tenant_);
  const std::string file = file_of(few);
  ASSERT_TRUE(verify(file));
  for (size_t i = 0; i < file.size(); ++i) {
    for (const int mask : {0x01, 0x20, 0x80}) {
      std::string bent = file;
      bent[i] = static_cast<char>(bent[i] ^ mask);
      EXPECT_FALSE(verify(bent)) << "byte " << i << " mask " << mask;
    }
  }
}

TEST_F(VerifyTest, EveryCutIsFound) {
  const std::string file = file_of(resigned({lines_[0], lines_[1], lines_.back()}, stolen_key(), tenant_));
  for (size_t i = 0; i < file.size(); ++i) EXPECT_FALSE(verify(file.substr(0, i))) << i;
}

TEST_F(VerifyTest, AChangedEntryIsNamed) {
  auto lines = lines_;
  lines[6].replace(lines[6].find("anna@"), 5, "eve!@");
  expect_refused(lines, "LedgerEntryChanged", "Line 7: entry 6 was changed");
}

TEST_F(VerifyTest, AChangedEntryWithItsHashRewrittenIsFound) {
  auto lines = lines_;
  lines[6].replace(lines[6].find("anna@"), 5, "eve!@");
  expect_refused(renumbered(lines), "LedgerEntryChanged", "Line 13:");
  expect_refused(renumbered(lines), "LedgerRewritten", "first 12 entries",
                 {.public_key_pem = {}, .witnesses = {at_5_, at_12_}});
}

TEST_F(VerifyTest, RemovedEntriesAreNamed) {
  auto lines = lines_;
  lines.erase(lines.begin() + 3);
  expect_refused(lines, "LedgerEntryRemoved",
                 "Line 4: entry 4 stands here, where entry 3 belongs: one entry was removed");
  expect_refused(renumbered(lines), "LedgerEntryRemoved", "the head signs 12 entries, but 11");
  lines = lines_;
  lines.erase(lines.begin() + 3, lines.begin() + 6);
  expect_refused(lines, "LedgerEntryRemoved", "3 entries were removed");
  lines = lines_;
  lines.erase(lines.begin() + 11);
  expect_refused(lines, "LedgerEntryRemoved", "from the end");
}

TEST_F(VerifyTest, SwappedEntriesAreNamed) {
  auto lines = lines_;
  std::swap(lines[2], lines[9]);
  expect_refused(lines, "LedgerEntrySwapped",
                 "Line 3: entry 9 stands here, where entry 2 belongs, which stands in line 10");
  expect_refused(renumbered(lines), "LedgerEntryChanged", "do not give the root");
}

TEST_F(VerifyTest, AddedEntriesAreNamed) {
  auto lines = lines_;
  lines.insert(lines.begin() + 4, lines[1]);
  expect_refused(lines, "LedgerEntryAdded", "Line 5: entry 1 stands here again");
  expect_refused(renumbered(lines), "LedgerEntryAdded", "the head signs 12 entries, but 13");
  lines = lines_;
  lines.push_back(lines_[0]);
  expect_refused(lines, "LedgerEntryAdded", "Line 14:");
  lines = lines_;
  lines.push_back("");
  expect_refused(lines, "LedgerEntryAdded", "Line 14:");
}

TEST_F(VerifyTest, AFileWithoutItsHeadWasCut) {
  auto lines = lines_;
  lines.pop_back();
  expect_refused(lines, "LedgerCutShort", "ends without a signed head");
  expect_refused({}, "LedgerCutShort", "Line 1:");
}

TEST_F(VerifyTest, AnOlderHonestExportIsShortOfAWitness) {
  const auto older = resigned({lines_.begin(), lines_.begin() + 5}, stolen_key(), tenant_);
  ASSERT_TRUE(verify(file_of(older)));
  expect_refused(older, "LedgerCutShort", "a witness head counts 12",
                 {.public_key_pem = {}, .witnesses = {at_12_}});
}

// The strongest attacker has the key and rewrites history into a file that is consistent in itself. Only a
// head that was kept elsewhere shows it.
TEST_F(VerifyTest, AForkSignedWithTheTrueKeyIsFoundByItsWitness) {
  const HeadSigner signer = stolen_key();
  auto lines = lines_;
  lines[2].replace(lines[2].find("anna@"), 5, "eve!@");
  const auto fork = resigned(renumbered(lines), signer, tenant_);
  const std::string key = ledger_->public_key_pem();
  EXPECT_TRUE(verify(file_of(fork), {.public_key_pem = key, .witnesses = {}}));
  expect_refused(fork, "LedgerRewritten", "first 5 entries",
                 {.public_key_pem = key, .witnesses = {at_12_, at_5_}});
  // Changed behind the witness: it can not know.
  lines = lines_;
  lines[8].replace(lines[8].find("anna@"), 5, "eve!@");
  const auto later = resigned(renumbered(lines), signer, tenant_);
  EXPECT_TRUE(verify(file_of(later), {.public_key_pem = key, .witnesses = {at_5_}}));
  expect_refused(later, "LedgerRewritten", "first 12 entries",
                 {.public_key_pem = key, .witnesses = {at_5_, at_12_}});
}

TEST_F(VerifyTest, AnotherKeyIsNotTheExpectedOne) {
  const HeadSigner other(*crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  const auto lines = resigned(lines_, other, tenant_);
  EXPECT_TRUE(verify(file_of(lines)));  // alone it is consistent; the report says that no key was given
  expect_refused(lines, "LedgerKeyMismatch", other.key_id(),
                 {.public_key_pem = ledger_->public_key_pem(), .witnesses = {}});
  expect_refused(lines, "LedgerWitnessInvalid", "not signed with the key",
                 {.public_key_pem = {}, .witnesses = {at_5_}});
  const auto no_key = verify(file_of(lines_), {.public_key_pem = "rubbish", .witnesses = {}});
  ASSERT_FALSE(no_key);
  EXPECT_EQ(no_key.error().code, "LedgerKeyMalformed");
  const HeadSigner wrong_kind(*crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  const std::string ec = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256)->public_key().pem();
  EXPECT_FALSE(verify(file_of(lines_), {.public_key_pem = ec, .witnesses = {}}));
}

TEST_F(VerifyTest, AHeadWithAWrongSignatureIsNamed) {
  auto parsed = *head_of_line(lines_.back());
  parsed.head.signature[10] ^= 1;
  auto lines = lines_;
  lines.back() = to_line(parsed);
  expect_refused(lines, "LedgerHeadSignatureInvalid", "Line 13: the head's signature is wrong");
  parsed = *head_of_line(lines_.back());
  parsed.head.time += Duration(1);
  lines.back() = to_line(parsed);
  expect_refused(lines, "LedgerHeadSignatureInvalid", "Line 13");
  parsed = *head_of_line(lines_.back());
  parsed.head.tenant = TenantId();
  lines.back() = to_line(parsed);
  expect_refused(lines, "LedgerHeadSignatureInvalid", "Line 13");
}

TEST_F(VerifyTest, AForgedWitnessIsRefused) {
  SignedHead forged = at_5_;
  forged.root[0] ^= 1;
  expect_refused(lines_, "LedgerWitnessInvalid", "size 5", {.public_key_pem = {}, .witnesses = {forged}});
  SignedHead empty = at_5_;
  empty.size = 0;
  expect_refused(lines_, "LedgerWitnessInvalid", "size 0", {.public_key_pem = {}, .witnesses = {empty}});
}

TEST_F(VerifyTest, OtherSpellingsAreRefused) {
  auto lines = lines_;
  lines[3].insert(lines[3].find(":\"") + 1, " ");
  EXPECT_FALSE(verify(file_of(lines)));
  for (size_t i : {size_t{3}, size_t{12}}) {
    for (const char* end : {" ", "\r", "\t", "{}"}) {
      lines = lines_;
      lines[i] += end;
      expect_refused(lines, "LedgerFileMalformed", "Line " + std::to_string(i + 1));
    }
    lines = lines_;
    lines[i] = " " + lines[i];
    expect_refused(lines, "LedgerFileMalformed", "Line " + std::to_string(i + 1));
  }
  lines = lines_;
  lines[3].replace(0, 11, R"({"index":03)");
  expect_refused(lines, "LedgerFileMalformed", "Line 4");
  lines[3] = R"({"index":99999999999999999999999,"salt":")";
  expect_refused(lines, "LedgerFileMalformed", "Line 4");
}

// A signed leaf that is no JSON object would be a way to smuggle bytes past those who read the export with a
// parser.
TEST_F(VerifyTest, EntriesMustBeJsonObjects) {
  for (const char* text : {"[1]", "1", "", "{", R"({"a":1,"a":2})", R"({},"entry":{})"}) {
    StoredEntry stored = entry_of_line(lines_[0])->stored;
    stored.text = text;
    expect_refused(resigned({to_line(0, stored), lines_.back()}, stolen_key(), tenant_), "LedgerEntryChanged",
                   "Line 1");
  }
}

TEST_F(VerifyTest, LinesWithoutEndAreBounded) {
  const auto report = verify(file_of({lines_[0]}) + std::string(10 * 1024 * 1024, 'x'));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("Line 2: it is longer than"));
}

TEST_F(VerifyTest, TenThousandEntries) {
  for (int i = 12; i < 10'000; i += 1998) append_many(i, std::min(1998, 10'000 - i));
  const SignedHead newest = head();
  ASSERT_EQ(newest.size, 10'000U);
  auto lines = export_all();
  ASSERT_EQ(lines.size(), 10'001U);
  const auto report = verify(
      file_of(lines), {.public_key_pem = ledger_->public_key_pem(), .witnesses = {at_5_, at_12_, newest}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->entries, 10'000U);
  EXPECT_EQ(report->witnesses_confirmed, 3U);
  lines[7777].replace(lines[7777].find("ticket"), 6, "reason");
  expect_refused(lines, "LedgerEntryChanged", "Line 7778: entry 7777");
}

// However it is cut, and though it grows meanwhile, the parts are one file that verifies.
TEST_F(VerifyTest, ItsPartsAreTheWholeExport) {
  append_many(12, 700);
  std::string file;
  size_t parts = 0;
  uint64_t from = 0;
  for (;;) {
    const auto part = export_part(*store_, *ledger_, tenant_, from, 20'000);
    ASSERT_TRUE(part) << part.error().message;
    file += part->text;
    ++parts;
    if (!part->continued_at) break;
    EXPECT_LT(part->text.size(), 30'000U);
    EXPECT_GT(*part->continued_at, from);
    from = *part->continued_at;
    if (parts == 2) append_many(712, 3);
  }
  EXPECT_GT(parts, 5U);
  std::istringstream lines(file);
  const auto report =
      verify_export(lines, {.public_key_pem = ledger_->public_key_pem(), .witnesses = {at_5_}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->entries, head().size);
  std::string whole;
  for (const std::string& line : export_all()) whole += line + "\n";
  EXPECT_EQ(file, whole);
  EXPECT_EQ(export_part(*store_, *ledger_, tenant_, head().size + 1, 1).error().code, "InvalidLedgerRange");
}

TEST_F(VerifyTest, AnExportStopsWhenItsReceiverDoes) {
  int taken = 0;
  const auto stopped = ledger_->export_lines([&](const std::string&) -> Result<void> {
    if (++taken == 3) return fail(ErrorKind::unavailable, "Gone", "the reader has gone");
    return {};
  });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, "Gone");
  EXPECT_EQ(taken, 3);
}

}  // namespace
}  // namespace merlon::ledger
