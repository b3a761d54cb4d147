// A backup of the whole store as one file, the same for every kind of store: UTF-8 JSON lines.
//
//   {"merlonBackup":1, …}                                   what it is, of when, and the tables' shapes
//   {"t":table,"n":tenant,"k":key,"b":body,"i":[values]}    one row each; key, body and values in base64
//   {"end":true,"rows":N,"digest":hex,"seal":sealed}        nothing follows
//
// The digest is a chain over the lines before it: d = SHA-256(d ‖ line), from 32 zero bytes. `seal` is the
// digest sealed with the key of the state itself: who lacks the root key can neither make a backup nor change
// one.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "store/store.h"

namespace merlon::server {

struct BackupHeader {
  Uuid id;
  std::string product_version;
  int64_t migration = 0;
  Timestamp created;
  TenantId tenant;
  std::string domain;
  int64_t ledger_size = 0;
  std::string ledger_root;                                 // hex
  std::map<std::string, std::vector<std::string>> tables;  // names of each one's indexes, in order
  JsonObject to_json() const;
  static Result<BackupHeader> from_json(const JsonObject& json);
};

struct BackupRow {
  std::string table;
  TenantId tenant;
  store::Row row;
  JsonObject to_json() const;
  static Result<BackupRow> from_json(const JsonObject& json);
};

struct BackupEnd {
  int64_t rows = 0;
  std::string digest;  // hex
  std::string seal;
  JsonObject to_json() const;
  static Result<BackupEnd> from_json(const JsonObject& json);
};

std::string backup_seal_context(const Uuid& backup);

class BackupDigest {
 public:
  void add(std::string_view line);
  std::string hex() const { return to_hex(chain_); }

 private:
  crypto::Sha256Digest chain_{};
};

struct BackupVisitor {
  std::function<Result<void>(const BackupHeader&)> header;
  std::function<Result<void>(const BackupRow&)> row;
};

// The whole file, in order. Errors say which line does not fit; whether `seal` opens is for the caller.
Result<BackupEnd> read_backup(std::istream& file, const BackupVisitor& visitor);

}  // namespace merlon::server
