// The Resource Manager over the real store, seal, ledger, identity and access in a directory of its own, with
// resource types that only the tests have: boxes (with items embedded and notes nested), lids that boxes
// point at, and rules at a location.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "crypto/system_random.h"
#include "identity/test_people.h"
#include "resource/begun_writes.h"
#include "resource/manager.h"

namespace merlon::resource {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().code << ": " << result.error().message << " " << result.error().cause;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline const std::string kSubscription = "/subscriptions/22222222-2222-4222-8222-222222222222";
inline const std::string kGroup = kSubscription + "/resourceGroups/rg1";
inline const std::string kBoxes = kGroup + "/providers/Toy.Things/boxes";
inline const std::string kLids = kGroup + "/providers/Toy.Things/lids";
inline constexpr const char* kOwner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
inline constexpr const char* kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";

class ResourceFixture : public testing::Test {
 protected:
  static constexpr const char* kOrigin = "https://merlon.localhost:8443";
  using HeaderList = std::vector<std::pair<std::string, std::string>>;

  struct Person {
    Uuid id;
    std::string name;
    std::string token;
  };
  struct Answer {
    int status = 0;
    JsonObject body;
    std::string text;
    net::Headers headers;
    std::string code() const { return string_at(body, "error.code").value_or(""); }
    std::string message() const { return string_at(body, "error.message").value_or(""); }
    std::string at(std::string_view path) const { return string_at(body, path).value_or(""); }
    std::vector<std::string> names() const {
      std::vector<std::string> out;
      const JsonArray* values = array_at(body, "value");
      if (values == nullptr) return out;
      for (const Json& value : *values) out.push_back(string_at(value.as_object(), "name").value_or(""));
      return out;
    }
  };

  // Keys take long to make: one directory has them, and each test starts from a copy.
  class Prototype {
   public:
    Prototype() : path_((std::filesystem::temp_directory_path() / "merlon-resource-XXXXXX").string()) {
      EXPECT_NE(::mkdtemp(path_.data()), nullptr);
      ManualClock clock;
      crypto::SystemRandom random;
      // The seal's first key is a write of its own, and the ledger's hook must be set before the first write.
      must(seal::Seal::open(*open_store(path_), path_ + "/root.key", random));
      const auto store = open_store(path_);
      const auto seal = must(seal::Seal::open(*store, path_ + "/root.key", random));
      const auto ledger = must(ledger::Ledger::open(*store, *seal, clock, random, tenant_of_tests()));
      must(identity::Issuer::open(*store, *seal, clock, random, issuer_parameters()));
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
  static TenantId tenant_of_tests() { return {*Uuid::parse("11111111-1111-4111-8111-111111111111")}; }
  static identity::IssuerParameters issuer_parameters() {
    return {.tenant = tenant_of_tests(), .domain = "merlon.localhost", .own_audiences = {}};
  }
  static std::unique_ptr<store::Store> open_store(const std::string& path) {
    store::Schema schema;
    for (const auto* specs :
         {&seal::tables(), &ledger::tables(), &identity::tables(), &access::tables(), &tables()})
      schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
    return must(store::open_sqlite(path, schema));
  }

  ResourceFixture() : path_((std::filesystem::temp_directory_path() / "merlon-resource-XXXXXX").string()) {
    static const Prototype prototype;
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
    std::filesystem::copy(prototype.path(), path_, std::filesystem::copy_options::recursive);
    store_ = open_store(path_);
    seal_ = must(seal::Seal::open(*store_, path_ + "/root.key", random_));
    ledger_ = must(ledger::Ledger::open(*store_, *seal_, clock_, random_, tenant_));
    directory_ = std::make_unique<identity::Directory>(tenant_, clock_, random_);
    issuer_ = must(identity::Issuer::open(*store_, *seal_, clock_, random_, issuer_parameters()));
    access_ = std::make_unique<access::Access>(*directory_, clock_, random_);
    core_.reset(new Core{.store = *store_,
                         .seal = *seal_,
                         .ledger = *ledger_,
                         .directory = *directory_,
                         .issuer = *issuer_,
                         .access = *access_,
                         .clock = clock_,
                         .random = random_,
                         .tenant = tenant_,
                         .subscription = *Uuid::parse("22222222-2222-4222-8222-222222222222"),
                         .domain = "merlon.localhost"});
    manager_ = Manager::make(*core_);
    declare_types();
    client_ = must(store::write_value<Uuid>(*store_, [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(directory_->create_application(tx, application)).first.app_id;
    }));
    owner_ = make_person("owner");
    assign(owner_, kOwner, "/");
  }
  ~ResourceFixture() override {
    manager_.reset();
    core_.reset();
    access_.reset();
    issuer_.reset();
    directory_.reset();
    ledger_.reset();
    seal_.reset();
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  Person make_person(const std::string& name) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    const auto made = must(store::write_value<identity::User>(
        *store_, [&](auto& tx) { return directory_->create_user(tx, user); }));
    return {made.id, made.user_principal_name, token_for(made.id, made.user_principal_name)};
  }
  std::string token_for(const Uuid& id, const std::string& name,
                        const std::string& audience = std::string(kOrigin) + "/") {
    identity::TokenSubject subject;
    subject.principal.object_id = id;
    subject.principal.name = name;
    subject.principal.app_id = client_;
    subject.principal.auth_time = clock_.now();
    subject.audience = audience;
    subject.scope = "user_impersonation";
    subject.user_principal_name = name;
    subject.session_id = identity::session_of(*store_, tenant_, id, clock_.now());
    return must(issuer_->issue(subject, kOrigin, std::chrono::hours(1)));
  }
  Uuid assign(const Person& person, const char* role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = scope;
    assignment.role_definition_id = *Uuid::parse(role);
    assignment.principal_id = person.id;
    assignment.principal_type = "User";
    return must(store::write_value<access::RoleAssignment>(
                    *store_, [&](auto& tx) { return access_->assign(tx, assignment); }))
        .id;
  }

  // "GET", "/x": as the owner, with an api-version unless the target has a query.
  Answer send(const std::string& method, const std::string& target, const std::string& body = {},
              HeaderList headers = {}) {
    return send_as(owner_.token, method, target, body, std::move(headers));
  }
  Answer send_as(const std::string& token, const std::string& method, const std::string& target,
                 const std::string& body = {}, HeaderList headers = {}) {
    if (!token.empty()) headers.emplace_back("Authorization", "Bearer " + token);
    const bool typed =
        std::ranges::any_of(headers, [](const auto& h) { return ascii_iequal(h.first, "Content-Type"); });
    if (!body.empty() && !typed) headers.emplace_back("Content-Type", "application/json");
    return raw(method, target.find('?') == std::string::npos ? target + "?api-version=2024-01-01" : target,
               body, headers);
  }
  Answer raw(const std::string& method, const std::string& target, const std::string& body,
             const HeaderList& headers) {
    net::Request request = made(method, target, body, headers);
    const net::Response response = answered(std::move(request));
    Answer answer{response.status, {}, response.body, response.headers};
    const bool is_object = response.headers.value_or("Content-Type", "").starts_with("application/json") &&
                           response.body.starts_with("{");
    if (is_object) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  net::Request made(const std::string& method, const std::string& target, const std::string& body,
                    const HeaderList& headers) {
    net::Request request;
    request.method = method;
    request.target = target;
    const net::Target parsed = must(net::parse_target(target));
    request.path = parsed.path;
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.body = body;
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    request.peer = *IpAddress::parse("192.0.2.7");
    request.host = "merlon.localhost:8443";
    request.request_id = Uuid::generate(random_).text();
    return request;
  }
  // As the server asks (net/server.h): at once, begun at once, by a worker.
  net::Response answered(net::Request request) {
    if (auto response = manager_->answer_at_once(request, kOrigin)) return *std::move(response);
    const auto shared = std::make_shared<const net::Request>(std::move(request));
    if (const auto told = begin(shared)) return told->get_future().get();
    return manager_->handle(*shared, kOrigin);
  }
  using Told = std::shared_ptr<std::promise<net::Response>>;
  Told begin(const std::shared_ptr<const net::Request>& request) {
    auto told = std::make_shared<std::promise<net::Response>>();
    const net::LateAnswer answer([told](const net::MakeAnswer& make) { told->set_value(make()); });
    if (!dynamic_cast<BegunWrites&>(*manager_).begin_at_once(request, kOrigin, answer)) return nullptr;
    ++begun_;
    return told;
  }

  void make_group(const std::string& name = "rg1") {
    const Answer made = send("PUT", kSubscription + "/resourcegroups/" + name, R"({"location":"local"})");
    ASSERT_EQ(made.status, 201) << made.text;
  }
  Answer make_box(const std::string& name, const std::string& properties = R"({"color":"red"})") {
    return send("PUT", kBoxes + "/" + name, R"({"location":"local","properties":)" + properties + "}");
  }
  Answer make_lid(const std::string& name) {
    return send("PUT", kLids + "/" + name, R"({"location":"local"})");
  }

  std::vector<ledger::Entry> entries(const std::string& action = {}) {
    must(ledger_->flush(Timestamp::max()));
    ledger::Filter filter;
    filter.action_prefix = action;
    const auto found = must(store::read_value<std::vector<ledger::RecordedEntry>>(
        *store_, [&](auto& reader) { return ledger_->list(reader, filter, std::nullopt, 1000, false); }));
    std::vector<ledger::Entry> out;
    for (const auto& recorded : found) out.push_back(recorded.entry);
    return out;
  }

  Result<JsonObject> put_box(WriteContext& context, const ResourceId& id, const Resource* existing,
                             JsonObject wanted) {
    ++box_puts_;
    (void)id;
    context.details = {{"created", existing == nullptr}};
    const std::string color = string_at(wanted, "properties.color").value_or("");
    if (color == "black") {
      must(context.record("Toy.Things/paint/action", "/", {}));  // goes with the rest
      return fail(ErrorKind::conflict, "NoBlackBoxes", "A box may not be black.", "properties.color");
    }
    if (JsonObject* properties =
            wanted.if_contains("properties") ? wanted["properties"].if_object() : nullptr) {
      (*properties)["serial"] = "made by the hook";
    }
    return wanted;
  }
  Result<void> remove_lid(WriteContext& context, const Resource& lid) {
    for (const Resource& box : must(manager_->list(context.tx, "Toy.Things/boxes", "/"))) {
      if (ascii_iequal(string_at(box.body, "properties.lid.id").value_or(""), lid.id.text())) {
        return fail(ErrorKind::invalid, "InUseLidCannotBeDeleted", "The lid is on '" + box.id.text() + "'.",
                    box.id.text());
      }
    }
    removed_.push_back(lid.id.name());
    return {};
  }

  ManualClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_ = tenant_of_tests();
  Uuid client_;  // the application that people sign in with
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<identity::Directory> directory_;
  std::unique_ptr<identity::Issuer> issuer_;
  std::unique_ptr<access::Access> access_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<Manager> manager_;
  Person owner_;
  int begun_ = 0;  // requests that were begun at once
  int box_puts_ = 0;
  std::vector<std::string> removed_;

  static Result<void> may_move(store::Reader&, const Resource& moving) {
    if (moving.id.name() != "glued") return {};
    return fail(ErrorKind::conflict, "BoxIsGlued", "The box is glued to its group.");
  }

 private:
  void declare_types() {
    const auto item = schema::object(
        {schema::required("name", schema::text()),
         schema::optional("properties", schema::object({schema::optional("weight", schema::integer())}))});
    ResourceType box;
    box.provider = "Toy.Things";
    box.type = "boxes";
    box.api_versions = {"2024-01-01"};
    box.etag_in_body = true;
    box.summary = "a box";
    box.shape = schema::object({schema::optional(
        "properties",
        schema::object({schema::optional("color", schema::text_of({"red", "blue", "black"})),
                        schema::create_only("size", schema::integer()),
                        schema::read_only("serial", schema::text()),
                        schema::optional("lid", schema::object({schema::optional("id", schema::text())})),
                        schema::optional("items", schema::array_of(item))}))});
    box.links = {{"properties.lid.id", "Toy.Things/lids/join/action"}};
    box.put = [this](WriteContext& context, const ResourceId& id, const Resource* existing,
                     JsonObject wanted) { return put_box(context, id, existing, std::move(wanted)); };
    box.may_move = may_move;
    box.remove = [this](WriteContext&, const Resource& gone) -> Result<void> {
      removed_.push_back(gone.id.name());
      return {};
    };
    manager_->add(std::move(box));

    EmbeddedType items;
    items.provider = "Toy.Things";
    items.type = "boxes/items";
    items.array_path = "properties.items";
    items.summary = "a thing in a box";
    items.shape = schema::object(
        {schema::optional("properties", schema::object({schema::optional("weight", schema::integer())}))});
    manager_->add(std::move(items));

    ResourceType lid;
    lid.provider = "Toy.Things";
    lid.type = "lids";
    lid.deleted_status = 202;
    lid.api_versions = {"2024-01-01"};
    lid.summary = "a lid";
    lid.shape = schema::object({schema::optional("properties", schema::anything())});
    lid.may_move = may_move;
    lid.remove = [this](WriteContext& context, const Resource& gone) { return remove_lid(context, gone); };
    manager_->add(std::move(lid));

    ResourceType note;
    note.provider = "Toy.Things";
    note.type = "boxes/notes";
    note.tracked = false;
    note.api_versions = {"2024-01-01"};
    note.summary = "a note on a box";
    note.may_move = may_move;
    note.shape = schema::object({schema::optional("properties", schema::anything())});
    manager_->add(std::move(note));

    ResourceType rule;
    rule.provider = "Toy.Things";
    rule.type = "locations/rules";
    rule.also_list_as = "rules";
    rule.location_from_path = true;
    rule.created_status = 200;
    rule.api_versions = {"2024-01-01"};
    rule.summary = "a rule of a place";
    rule.shape = schema::object({schema::optional("properties", schema::anything())});
    manager_->add(std::move(rule));
  }

  std::string path_;
};

}  // namespace merlon::resource
