/*
 * The part of Cryptoki 2.40's binary interface that the shim needs, as OASIS has published it. On
 * the platforms that the shim is built for, every argument is a CK_ULONG, a CK_BBOOL or a pointer.
 */
#ifndef CRYPTOKI_H
#define CRYPTOKI_H

typedef unsigned char CK_BBOOL;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef CK_ULONG CK_SLOT_ID;
typedef CK_ULONG CK_SESSION_HANDLE;
typedef CK_ULONG CK_OBJECT_HANDLE;

typedef struct {
  CK_ULONG type;
  void *value;
  CK_ULONG length;
} CK_ATTRIBUTE;

#define CK_INVALID_HANDLE 0UL
#define CKA_LABEL 3UL

/*
 * Every function but C_GetFunctionList, in the order of the standard's function list. A column is
 * the function's name, the session that it works in, its parameters and its arguments.
 *
 * These three concern the module and no token.
 */
#define CK_MODULE_FUNCTIONS(F) \
  F(C_Initialize, CK_INVALID_HANDLE, (void *arguments), (arguments)) \
  F(C_Finalize, CK_INVALID_HANDLE, (void *reserved), (reserved)) \
  F(C_GetInfo, CK_INVALID_HANDLE, (void *info), (info))

#define CK_TOKEN_FUNCTIONS(F) \
  F(C_GetSlotList, CK_INVALID_HANDLE, (CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count), \
    (present, slots, count)) \
  F(C_GetSlotInfo, CK_INVALID_HANDLE, (CK_SLOT_ID slot, void *info), (slot, info)) \
  F(C_GetTokenInfo, CK_INVALID_HANDLE, (CK_SLOT_ID slot, void *info), (slot, info)) \
  F(C_GetMechanismList, CK_INVALID_HANDLE, \
    (CK_SLOT_ID slot, CK_ULONG *mechanisms, CK_ULONG *count), (slot, mechanisms, count)) \
  F(C_GetMechanismInfo, CK_INVALID_HANDLE, (CK_SLOT_ID slot, CK_ULONG mechanism, void *info), \
    (slot, mechanism, info)) \
  F(C_InitToken, CK_INVALID_HANDLE, (CK_SLOT_ID slot, void *pin, CK_ULONG pin_length, \
    void *label), (slot, pin, pin_length, label)) \
  F(C_InitPIN, session, (CK_SESSION_HANDLE session, void *pin, CK_ULONG pin_length), \
    (session, pin, pin_length)) \
  F(C_SetPIN, session, (CK_SESSION_HANDLE session, void *old_pin, CK_ULONG old_length, \
    void *new_pin, CK_ULONG new_length), (session, old_pin, old_length, new_pin, new_length)) \
  F(C_OpenSession, CK_INVALID_HANDLE, (CK_SLOT_ID slot, CK_ULONG flags, void *application, \
    void *notify, CK_SESSION_HANDLE *session), (slot, flags, application, notify, session)) \
  F(C_CloseSession, session, (CK_SESSION_HANDLE session), (session)) \
  F(C_CloseAllSessions, CK_INVALID_HANDLE, (CK_SLOT_ID slot), (slot)) \
  F(C_GetSessionInfo, session, (CK_SESSION_HANDLE session, void *info), (session, info)) \
  F(C_GetOperationState, session, (CK_SESSION_HANDLE session, void *state, CK_ULONG *length), \
    (session, state, length)) \
  F(C_SetOperationState, session, (CK_SESSION_HANDLE session, void *state, CK_ULONG length, \
    CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentication_key), \
    (session, state, length, encryption_key, authentication_key)) \
  F(C_Login, session, (CK_SESSION_HANDLE session, CK_ULONG user, void *pin, \
    CK_ULONG pin_length), (session, user, pin, pin_length)) \
  F(C_Logout, session, (CK_SESSION_HANDLE session), (session)) \
  F(C_CreateObject, session, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, \
    CK_ULONG count, CK_OBJECT_HANDLE *object), (session, attributes, count, object)) \
  F(C_CopyObject, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, \
    CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *copy), \
    (session, object, attributes, count, copy)) \
  F(C_DestroyObject, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), \
    (session, object)) \
  F(C_GetObjectSize, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, \
    CK_ULONG *size), (session, object, size)) \
  F(C_GetAttributeValue, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, \
    CK_ATTRIBUTE *attributes, CK_ULONG count), (session, object, attributes, count)) \
  F(C_SetAttributeValue, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, \
    CK_ATTRIBUTE *attributes, CK_ULONG count), (session, object, attributes, count)) \
  F(C_FindObjectsInit, session, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, \
    CK_ULONG count), (session, attributes, count)) \
  F(C_FindObjects, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, \
    CK_ULONG capacity, CK_ULONG *count), (session, objects, capacity, count)) \
  F(C_FindObjectsFinal, session, (CK_SESSION_HANDLE session), (session)) \
  F(C_EncryptInit, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE key), (session, mechanism, key)) \
  F(C_Encrypt, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *output, CK_ULONG *length), (session, data, data_length, output, length)) \
  F(C_EncryptUpdate, session, (CK_SESSION_HANDLE session, void *part, CK_ULONG part_length, \
    void *output, CK_ULONG *length), (session, part, part_length, output, length)) \
  F(C_EncryptFinal, session, (CK_SESSION_HANDLE session, void *output, CK_ULONG *length), \
    (session, output, length)) \
  F(C_DecryptInit, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE key), (session, mechanism, key)) \
  F(C_Decrypt, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *output, CK_ULONG *length), (session, data, data_length, output, length)) \
  F(C_DecryptUpdate, session, (CK_SESSION_HANDLE session, void *part, CK_ULONG part_length, \
    void *output, CK_ULONG *length), (session, part, part_length, output, length)) \
  F(C_DecryptFinal, session, (CK_SESSION_HANDLE session, void *output, CK_ULONG *length), \
    (session, output, length)) \
  F(C_DigestInit, session, (CK_SESSION_HANDLE session, void *mechanism), (session, mechanism)) \
  F(C_Digest, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *output, CK_ULONG *length), (session, data, data_length, output, length)) \
  F(C_DigestUpdate, session, (CK_SESSION_HANDLE session, void *part, CK_ULONG part_length), \
    (session, part, part_length)) \
  F(C_DigestKey, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key), (session, key)) \
  F(C_DigestFinal, session, (CK_SESSION_HANDLE session, void *output, CK_ULONG *length), \
    (session, output, length)) \
  F(C_SignInit, session, (CK_SESSION_HANDLE session, void *mechanism, CK_OBJECT_HANDLE key), \
    (session, mechanism, key)) \
  F(C_Sign, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *output, CK_ULONG *length), (session, data, data_length, output, length)) \
  F(C_SignUpdate, session, (CK_SESSION_HANDLE session, void *part, CK_ULONG part_length), \
    (session, part, part_length)) \
  F(C_SignFinal, session, (CK_SESSION_HANDLE session, void *output, CK_ULONG *length), \
    (session, output, length)) \
  F(C_SignRecoverInit, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE key), (session, mechanism, key)) \
  F(C_SignRecover, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *output, CK_ULONG *length), (session, data, data_length, output, length)) \
  F(C_VerifyInit, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE key), (session, mechanism, key)) \
  F(C_Verify, session, (CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, \
    void *signature, CK_ULONG length), (session, data, data_length, signature, length)) \
  F(C_VerifyUpdate, session, (CK_SESSION_HANDLE session, void *part, CK_ULONG part_length), \
    (session, part, part_length)) \
  F(C_VerifyFinal, session, (CK_SESSION_HANDLE session, void *signature, CK_ULONG length), \
    (session, signature, length)) \
  F(C_VerifyRecoverInit, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE key), (session, mechanism, key)) \
  F(C_VerifyRecover, session, (CK_SESSION_HANDLE session, void *signature, \
    CK_ULONG signature_length, void *output, CK_ULONG *length), \
    (session, signature, signature_length, output, length)) \
  F(C_DigestEncryptUpdate, session, (CK_SESSION_HANDLE session, void *part, \
    CK_ULONG part_length, void *output, CK_ULONG *length), \
    (session, part, part_length, output, length)) \
  F(C_DecryptDigestUpdate, session, (CK_SESSION_HANDLE session, void *part, \
    CK_ULONG part_length, void *output, CK_ULONG *length), \
    (session, part, part_length, output, length)) \
  F(C_SignEncryptUpdate, session, (CK_SESSION_HANDLE session, void *part, \
    CK_ULONG part_length, void *output, CK_ULONG *length), \
    (session, part, part_length, output, length)) \
  F(C_DecryptVerifyUpdate, session, (CK_SESSION_HANDLE session, void *part, \
    CK_ULONG part_length, void *output, CK_ULONG *length), \
    (session, part, part_length, output, length)) \
  F(C_GenerateKey, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, attributes, count, key)) \
  F(C_GenerateKeyPair, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_ATTRIBUTE *public_attributes, CK_ULONG public_count, CK_ATTRIBUTE *private_attributes, \
    CK_ULONG private_count, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key), \
    (session, mechanism, public_attributes, public_count, private_attributes, private_count, \
     public_key, private_key)) \
  F(C_WrapKey, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key, void *output, CK_ULONG *length), \
    (session, mechanism, wrapping_key, key, output, length)) \
  F(C_UnwrapKey, session, (CK_SESSION_HANDLE session, void *mechanism, \
    CK_OBJECT_HANDLE unwrapping_key, void *wrapped, CK_ULONG wrapped_length, \
    CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, unwrapping_key, wrapped, wrapped_length, attributes, count, key)) \
  F(C_DeriveKey, session, (CK_SESSION_HANDLE session, void *mechanism, CK_OBJECT_HANDLE base, \
    CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, base, attributes, count, key)) \
  F(C_SeedRandom, session, (CK_SESSION_HANDLE session, void *seed, CK_ULONG length), \
    (session, seed, length)) \
  F(C_GenerateRandom, session, (CK_SESSION_HANDLE session, void *output, CK_ULONG length), \
    (session, output, length)) \
  F(C_GetFunctionStatus, session, (CK_SESSION_HANDLE session), (session)) \
  F(C_CancelFunction, session, (CK_SESSION_HANDLE session), (session)) \
  F(C_WaitForSlotEvent, CK_INVALID_HANDLE, (CK_ULONG flags, CK_SLOT_ID *slot, \
    void *reserved), (flags, slot, reserved))

#define CK_FUNCTIONS(F) CK_MODULE_FUNCTIONS(F) CK_TOKEN_FUNCTIONS(F)

/* FUNCTION_C_Sign and so on: indices into whatever is kept by function. */
enum function {
#define F(name, session, parameters, arguments) FUNCTION_##name,
  CK_FUNCTIONS(F)
#undef F
  FUNCTION_COUNT
};

#define FIRST_TOKEN_FUNCTION FUNCTION_C_GetSlotList

typedef struct ck_function_list {
  unsigned char major, minor;
#define F(name, session, parameters, arguments) CK_RV(*name) parameters;
  CK_MODULE_FUNCTIONS(F)
  CK_RV (*C_GetFunctionList)(struct ck_function_list **list);
  CK_TOKEN_FUNCTIONS(F)
#undef F
} CK_FUNCTION_LIST;

#define CK_RETURN_VALUES(V) \
  V(CKR_OK, 0x0) \
  V(CKR_CANCEL, 0x1) \
  V(CKR_HOST_MEMORY, 0x2) \
  V(CKR_SLOT_ID_INVALID, 0x3) \
  V(CKR_GENERAL_ERROR, 0x5) \
  V(CKR_FUNCTION_FAILED, 0x6) \
  V(CKR_ARGUMENTS_BAD, 0x7) \
  V(CKR_NO_EVENT, 0x8) \
  V(CKR_NEED_TO_CREATE_THREADS, 0x9) \
  V(CKR_CANT_LOCK, 0xa) \
  V(CKR_ATTRIBUTE_READ_ONLY, 0x10) \
  V(CKR_ATTRIBUTE_SENSITIVE, 0x11) \
  V(CKR_ATTRIBUTE_TYPE_INVALID, 0x12) \
  V(CKR_ATTRIBUTE_VALUE_INVALID, 0x13) \
  V(CKR_ACTION_PROHIBITED, 0x1b) \
  V(CKR_DATA_INVALID, 0x20) \
  V(CKR_DATA_LEN_RANGE, 0x21) \
  V(CKR_DEVICE_ERROR, 0x30) \
  V(CKR_DEVICE_MEMORY, 0x31) \
  V(CKR_DEVICE_REMOVED, 0x32) \
  V(CKR_ENCRYPTED_DATA_INVALID, 0x40) \
  V(CKR_ENCRYPTED_DATA_LEN_RANGE, 0x41) \
  V(CKR_FUNCTION_CANCELED, 0x50) \
  V(CKR_FUNCTION_NOT_PARALLEL, 0x51) \
  V(CKR_FUNCTION_NOT_SUPPORTED, 0x54) \
  V(CKR_KEY_HANDLE_INVALID, 0x60) \
  V(CKR_KEY_SIZE_RANGE, 0x62) \
  V(CKR_KEY_TYPE_INCONSISTENT, 0x63) \
  V(CKR_KEY_NOT_NEEDED, 0x64) \
  V(CKR_KEY_CHANGED, 0x65) \
  V(CKR_KEY_NEEDED, 0x66) \
  V(CKR_KEY_INDIGESTIBLE, 0x67) \
  V(CKR_KEY_FUNCTION_NOT_PERMITTED, 0x68) \
  V(CKR_KEY_NOT_WRAPPABLE, 0x69) \
  V(CKR_KEY_UNEXTRACTABLE, 0x6a) \
  V(CKR_MECHANISM_INVALID, 0x70) \
  V(CKR_MECHANISM_PARAM_INVALID, 0x71) \
  V(CKR_OBJECT_HANDLE_INVALID, 0x82) \
  V(CKR_OPERATION_ACTIVE, 0x90) \
  V(CKR_OPERATION_NOT_INITIALIZED, 0x91) \
  V(CKR_PIN_INCORRECT, 0xa0) \
  V(CKR_PIN_INVALID, 0xa1) \
  V(CKR_PIN_LEN_RANGE, 0xa2) \
  V(CKR_PIN_EXPIRED, 0xa3) \
  V(CKR_PIN_LOCKED, 0xa4) \
  V(CKR_SESSION_CLOSED, 0xb0) \
  V(CKR_SESSION_COUNT, 0xb1) \
  V(CKR_SESSION_HANDLE_INVALID, 0xb3) \
  V(CKR_SESSION_PARALLEL_NOT_SUPPORTED, 0xb4) \
  V(CKR_SESSION_READ_ONLY, 0xb5) \
  V(CKR_SESSION_EXISTS, 0xb6) \
  V(CKR_SESSION_READ_ONLY_EXISTS, 0xb7) \
  V(CKR_SESSION_READ_WRITE_SO_EXISTS, 0xb8) \
  V(CKR_SIGNATURE_INVALID, 0xc0) \
  V(CKR_SIGNATURE_LEN_RANGE, 0xc1) \
  V(CKR_TEMPLATE_INCOMPLETE, 0xd0) \
  V(CKR_TEMPLATE_INCONSISTENT, 0xd1) \
  V(CKR_TOKEN_NOT_PRESENT, 0xe0) \
  V(CKR_TOKEN_NOT_RECOGNIZED, 0xe1) \
  V(CKR_TOKEN_WRITE_PROTECTED, 0xe2) \
  V(CKR_UNWRAPPING_KEY_HANDLE_INVALID, 0xf0) \
  V(CKR_UNWRAPPING_KEY_SIZE_RANGE, 0xf1) \
  V(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, 0xf2) \
  V(CKR_USER_ALREADY_LOGGED_IN, 0x100) \
  V(CKR_USER_NOT_LOGGED_IN, 0x101) \
  V(CKR_USER_PIN_NOT_INITIALIZED, 0x102) \
  V(CKR_USER_TYPE_INVALID, 0x103) \
  V(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, 0x104) \
  V(CKR_USER_TOO_MANY_TYPES, 0x105) \
  V(CKR_WRAPPED_KEY_INVALID, 0x110) \
  V(CKR_WRAPPED_KEY_LEN_RANGE, 0x112) \
  V(CKR_WRAPPING_KEY_HANDLE_INVALID, 0x113) \
  V(CKR_WRAPPING_KEY_SIZE_RANGE, 0x114) \
  V(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, 0x115) \
  V(CKR_RANDOM_SEED_NOT_SUPPORTED, 0x120) \
  V(CKR_RANDOM_NO_RNG, 0x121) \
  V(CKR_DOMAIN_PARAMS_INVALID, 0x130) \
  V(CKR_CURVE_NOT_SUPPORTED, 0x140) \
  V(CKR_BUFFER_TOO_SMALL, 0x150) \
  V(CKR_SAVED_STATE_INVALID, 0x160) \
  V(CKR_INFORMATION_SENSITIVE, 0x170) \
  V(CKR_STATE_UNSAVEABLE, 0x180) \
  V(CKR_CRYPTOKI_NOT_INITIALIZED, 0x190) \
  V(CKR_CRYPTOKI_ALREADY_INITIALIZED, 0x191) \
  V(CKR_MUTEX_BAD, 0x1a0) \
  V(CKR_MUTEX_NOT_LOCKED, 0x1a1) \
  V(CKR_NEW_PIN_MODE, 0x1b0) \
  V(CKR_NEXT_OTP, 0x1b1) \
  V(CKR_EXCEEDED_MAX_ITERATIONS, 0x1b5) \
  V(CKR_FIPS_SELF_TEST_FAILED, 0x1b6) \
  V(CKR_LIBRARY_LOAD_FAILED, 0x1b7) \
  V(CKR_PIN_TOO_WEAK, 0x1b8) \
  V(CKR_PUBLIC_KEY_INVALID, 0x1b9) \
  V(CKR_FUNCTION_REJECTED, 0x200)

enum {
#define V(name, value) name = value,
  CK_RETURN_VALUES(V)
#undef V
};

#endif
