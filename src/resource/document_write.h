// One write of a declared type's document, however it came: PUT, PATCH, or a change of one embedded element.
#pragma once

#include "resource/state.h"

namespace merlon::resource {

enum class LinkCheck {
  all,      // PUT: whoever states a reference must hold the right to make it
  changed,  // PATCH and elements: what was there before is not the caller's statement
};

struct DocumentWrite {
  const ResourceType& type;
  ResourceId id;
  const Resource* existing = nullptr;
  JsonObject wanted;  // has passed the type's shape
  LinkCheck links = LinkCheck::all;
};

// Checks place, name, location, tags, fixed properties and references; runs the type's hooks; stores. Returns
// what GET shows.
Result<Resource> write_document(State& state, WriteContext& context, DocumentWrite write);

// A document as a client would send it, stored under an id of its own by the system's hand: shape, the type's
// hooks, no question about rights. For moves.
Result<Resource> store_anew(State& state, WriteContext& context, const ResourceId& id,
                            const JsonObject& document);

// The stored document as a client would send it back: without what the Resource Manager fills in.
JsonObject without_identity(const JsonObject& shown);

}  // namespace merlon::resource
