»ı
ùÌ
^
AssignVariableOp
resource
value"dtype"