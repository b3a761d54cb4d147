// nftables commands: one buffer of them is one transaction, carried out whole or not at all. libnftables does
// it in the product; the simulator has a model of the kernel do it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace merlon::agent {

enum class NftForm { text, json_terse, json };  // terse: sets without their elements

// Whoever carries the commands out.
class NftBackend {
 public:
  virtual ~NftBackend() = default;
  // What nftables prints. Errors: FirewallObjectMissing (not_found) when something that is named is not
  // there, else FirewallRefused; either way nothing is changed.
  virtual Result<std::string> run(const std::string& commands, NftForm form) = 0;
};

class Nft {
 public:
  static Result<Nft> open();  // libnftables, on the network namespace that this process is in
  explicit Nft(std::unique_ptr<NftBackend> backend) : backend_(std::move(backend)) {}
  // Nothing is changed when it fails; the error carries nftables' own words.
  Result<void> run(const std::string& commands);
  // The "nftables" array of an answer in JSON, without its first object about the library. Sets are listed
  // with their elements only by list_set.
  Result<JsonArray> list(const std::string& command);
  Result<JsonArray> list_with_elements(const std::string& command);
  // False when the object is not there, an error when that could not be told.
  Result<bool> exists(const std::string& get_command);

 private:
  Result<JsonArray> list_as(const std::string& command, NftForm form);
  std::unique_ptr<NftBackend> backend_;
};

// The objects named `kind` ("chain", "rule", "counter") of a listing.
std::vector<const JsonObject*> objects_of(const JsonArray& listing, std::string_view kind);

}  // namespace merlon::agent
