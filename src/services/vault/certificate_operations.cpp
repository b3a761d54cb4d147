// The table of what certificates have beyond what all three kinds share.
#include "services/vault/certificates.h"
#include "services/vault/revocation.h"

namespace merlon::vault {

void add_certificate_operations(const resource::Core& core, const AddOperation& add) {
  const auto certificates = std::make_shared<Certificates>(core);
  using Read = Result<Answer> (Certificates::*)(Asked&, store::Reader&) const;
  const auto reading = [&](const char* path, Read work) {
    add({.method = "GET",
         .path = path,
         .action = "certificates/read",
         .policy_kind = "certificates",
         .policy_word = "get",
         .read = [certificates, work](Asked& asked, store::Reader& reader) {
           return ((*certificates).*work)(asked, reader);
         }});
  };
  using Gather = Result<void> (Certificates::*)(Asked&) const;
  using Write = Result<Answer> (Certificates::*)(Asked&, store::Transaction&) const;
  const auto writing = [&](const char* method, const char* path, const char* verb, const char* word,
                           Write work, Gather gather = nullptr) {
    Operation operation{.method = method,
                        .path = path,
                        .action = std::string("certificates/") + verb,
                        .policy_kind = "certificates",
                        .policy_word = word,
                        .write = [certificates, work](Asked& asked, store::Transaction& tx) {
                          return ((*certificates).*work)(asked, tx);
                        }};
    if (gather != nullptr)
      operation.gather = [certificates, gather](Asked& asked) { return ((*certificates).*gather)(asked); };
    add(std::move(operation));
  };
  reading("certificates/{name}/{version}", &Certificates::get);
  reading("certificates/{name}/policy", &Certificates::policy);
  reading("certificates/{name}/pending", &Certificates::pending);
  writing("POST", "certificates/{name}/create", "create/action", "create", &Certificates::create,
          &Certificates::make);
  writing("POST", "certificates/{name}/import", "import/action", "import", &Certificates::import,
          &Certificates::take);
  writing("PATCH", "certificates/{name}/{version}", "update/action", "update", &Certificates::update);
  writing("PATCH", "certificates/{name}/policy", "update/action", "update", &Certificates::set_policy);
  writing("PATCH", "certificates/{name}/pending", "update/action", "update", &Certificates::cancel);
  writing("DELETE", "certificates/{name}/pending", "delete", "delete", &Certificates::forget);
  writing("POST", "certificates/{name}/pending/merge", "create/action", "create", &Certificates::merge);
  add_issuer_operations(core, add);
  add_revocation_operations(core, add);
}

}  // namespace merlon::vault
