// A declared resource type. The Resource Manager makes its routes (PUT, PATCH, GET, HEAD, DELETE, lists at
// group and subscription), stores the JSON text that GET returns, and calls these hooks inside the write's
// transaction.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "resource/call.h"
#include "schema/shape.h"

namespace merlon::resource {

struct Resource {
  ResourceId id;
  JsonObject body;     // as GET shows it
  std::string etag;    // hex hash of what is shown, without quotes
  std::string text{};  // `body` as it is stored, where it has just been written; else empty
};

// `wanted` has passed the shape: id, name, type, location and tags are in place. Returns the document to show
// (with its read-only members). Errors undo everything. A PATCH arrives merged, like a PUT.
using PutHook = std::function<Result<JsonObject>(WriteContext&, const ResourceId&, const Resource* existing,
                                                 JsonObject wanted)>;
// May refuse (InUse…); cleans up what hangs on the resource.
using RemoveHook = std::function<Result<void>(WriteContext&, const Resource& existing)>;
// After the document has been stored, same transaction: recompute what depends on it.
using ChangedHook = std::function<Result<void>(WriteContext&, const ResourceId&)>;

// Whether it may go to another resource group (moves.h): an error names what holds it where it is. The move
// itself is the type's `remove` for the old id and its `put` and `changed` for the new one.
using MoveCheck = std::function<Result<void>(store::Reader&, const Resource&)>;

// A reference in the document to another resource and the right that pointing at it takes.
struct Link {
  std::string
      path;  // "properties.networkSecurityGroup.id", "properties.ipConfigurations[].properties.subnet.id"
  std::string action;  // "Microsoft.Network/networkSecurityGroups/join/action"
};

struct ResourceType {
  std::string provider;  // "Microsoft.Network"
  std::string type;      // "networkSecurityGroups", "locations/jitNetworkAccessPolicies"
  std::vector<std::string>
      api_versions;     // what the provider list advertises, newest first; any well-formed date is accepted
  schema::Shape shape;  // of the whole document without id, name, type, etag
  bool tracked = true;  // location (required) and tags
  bool location_from_path =
      false;  // the location is the path's, e.g. locations/{ascLocation}/jitNetworkAccessPolicies
  bool etag_in_body = false;         // Microsoft.Network shows it as "etag": "W/\"…\""
  bool expands = false;              // GET takes $expand (expand.h)
  bool patch_replaces_tags = false;  // the tags of a PATCH are all tags: Microsoft.Network's UpdateTags
  int created_status = 201;          // of the first PUT
  bool put_is_operation = false;     // a PUT's answer says where to ask how it goes: Azure-AsyncOperation
  int deleted_status = 200;  // of a DELETE that deleted; 202 gets a Location to poll. 204 when it was absent.
  std::string also_list_as;  // "jitNetworkAccessPolicies": lists without the path's location segment
  std::string summary;       // what it is, one line
  std::function<std::optional<std::string>(std::string_view name)>
      check_name;  // default: Azure's common rule
  std::vector<Link> links;
  PutHook put;
  RemoveHook remove;
  ChangedHook changed;
  MoveCheck may_move;  // without it: never
};

// A child that lives inside its parent's document: securityRules in a network security group, subnets in a
// virtual network. GET, PUT, DELETE and list work on the element; a write runs the parent's put.
struct EmbeddedType {
  std::string provider;
  std::string type;        // "networkSecurityGroups/securityRules"
  std::string array_path;  // in the parent: "properties.securityRules"
  schema::Shape shape;     // of one element without id, name, type, etag
  bool read_only = false;  // defaultSecurityRules
  bool expands = false;    // GET takes $expand
  std::string summary;
};

}  // namespace merlon::resource
