// For tests of what stands on grants: store, seal, ledger, directory, access and the Resource Manager over a
// directory of its own, on a clock in the test's hand. It can be closed and opened again, as a restart does.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "crypto/system_random.h"
#include "grant/grant.h"
#include "resource/manager.h"

namespace merlon::grant {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().code << ": " << result.error().message << " " << result.error().cause;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class Foundation {
 public:
  static constexpr const char* kOrigin = "https://merlon.localhost:8443";
  static TenantId tenant() { return {*Uuid::parse("11111111-1111-4111-8111-111111111111")}; }
  static Uuid subscription() { return *Uuid::parse("22222222-2222-4222-8222-222222222222"); }

  // Begins with a copy of the state directory `from`, which another one has filled.
  Foundation(const Clock& clock, std::vector<store::TableSpec> more_tables, const std::string& from = {})
      : clock_(clock), tables_(std::move(more_tables)), path_(temporary()) {
    std::filesystem::copy(from.empty() ? with_keys() : from, path_, std::filesystem::copy_options::recursive);
  }
  Foundation(const Foundation&) = delete;
  Foundation& operator=(const Foundation&) = delete;
  ~Foundation() {
    close();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  void open() {
    store_ = open_store(path_, tables_);
    seal_ = must(seal::Seal::open(*store_, path_ + "/root.key", random));
    ledger_ = must(ledger::Ledger::open(*store_, *seal_, clock_, random, tenant()));
    directory_ = std::make_unique<identity::Directory>(tenant(), clock_, random);
    issuer_ = must(identity::Issuer::open(*store_, *seal_, clock_, random, issuer_parameters()));
    access_ = std::make_unique<access::Access>(*directory_, clock_, random);
    core_.reset(new resource::Core{.store = *store_,
                                   .seal = *seal_,
                                   .ledger = *ledger_,
                                   .directory = *directory_,
                                   .issuer = *issuer_,
                                   .access = *access_,
                                   .clock = clock_,
                                   .random = random,
                                   .tenant = tenant(),
                                   .subscription = subscription(),
                                   .domain = "merlon.localhost"});
    manager_ = resource::Manager::make(*core_);
  }
  void close() {
    manager_.reset();
    core_.reset();
    access_.reset();
    issuer_.reset();
    directory_.reset();
    ledger_.reset();
    seal_.reset();
    store_.reset();
  }

  const resource::Core& core() const { return *core_; }
  resource::Manager& manager() { return *manager_; }
  store::Store& store() { return *store_; }
  const std::string& path() const { return path_; }

  std::vector<ledger::Entry> entries(const std::string& action = {}) {
    must(ledger_->flush(Timestamp::max()));
    ledger::Filter filter;
    filter.action_prefix = action;
    std::vector<ledger::Entry> out;
    for (const auto& recorded :
         must(store::read_value<std::vector<ledger::RecordedEntry>>(*store_, [&](auto& reader) {
           return ledger_->list(reader, filter, std::nullopt, 1000, false);
         })))
      out.push_back(recorded.entry);
    return out;
  }

  crypto::SystemRandom random;

 private:
  static std::string temporary() {
    std::string path = (std::filesystem::temp_directory_path() / "merlon-foundation-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    return path;
  }
  // Keys take long to make: one directory has them.
  static const std::string& with_keys() {
    static const Prototype prototype;
    return prototype.path();
  }
  static identity::IssuerParameters issuer_parameters() {
    return {.tenant = tenant(), .domain = "merlon.localhost", .own_audiences = {}};
  }
  static std::unique_ptr<store::Store> open_store(const std::string& path,
                                                  const std::vector<store::TableSpec>& more) {
    store::Schema schema;
    for (const auto* specs : {&seal::tables(), &ledger::tables(), &identity::tables(), &access::tables(),
                              &resource::tables(), &grant::tables(), &more})
      schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
    return must(store::open_sqlite(path, schema));
  }
  class Prototype {
   public:
    Prototype() : path_(temporary()) {
      crypto::SystemRandom chance;
      // The seal's first key is a write of its own, and the ledger's hook must be set before the first write.
      must(seal::Seal::open(*open_store(path_, {}), path_ + "/root.key", chance));
      const auto store = open_store(path_, {});
      const auto seal = must(seal::Seal::open(*store, path_ + "/root.key", chance));
      const ManualClock manual;
      const auto ledger = must(ledger::Ledger::open(*store, *seal, manual, chance, tenant()));
      must(identity::Issuer::open(*store, *seal, manual, chance, issuer_parameters()));
    }
    Prototype(const Prototype&) = delete;
    Prototype& operator=(const Prototype&) = delete;
    ~Prototype() {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

   private:
    std::string path_;
  };

  const Clock& clock_;
  std::vector<store::TableSpec> tables_;
  std::string path_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<identity::Directory> directory_;
  std::unique_ptr<identity::Issuer> issuer_;
  std::unique_ptr<access::Access> access_;
  std::unique_ptr<resource::Core> core_;
  std::unique_ptr<resource::Manager> manager_;
};

}  // namespace merlon::grant
