; Functions for tests of what executes LLVM IR: a loop over a struct, calls by a pointer, a constant, a name that nothing has.

target datalayout = "e-i64:64"

%struct.pair = type { i32, i64 }

define i64 @sum(ptr noundef %pair, i32 noundef %n) #0 {
entry:
  br label %head

head:                                             ; preds = %body, %entry
  %i.0 = phi i32 [ 0, %entry ], [ %next, %body ]
  %total.0 = phi i64 [ 0, %entry ], [ %more, %body ]
  %go = icmp slt i32 %i.0, %n
  br i1 %go, label %body, label %end

body:                                             ; preds = %head
  %field = getelementptr inbounds nuw %struct.pair, ptr %pair, i32 0, i32 1
  %value = load i64, ptr %field, align 8
  %more = add nsw i64 %total.0, %value
  %next = add i32 %i.0, 1
  br label %head

end:                                              ; preds = %head
  ret i64 %total.0
}

define i64 @widened(i32 noundef %x) #0 {
entry:
  %wide = sext i32 %x to i64
  ret i64 %wide
}

define i32 @strange(i32 noundef %x) #0 {
entry:
  %y = call i32 @unheard_of(i32 noundef %x)
  ret i32 %y
}

@callbacks = internal constant %struct.pair { i32 7, i64 9 }, align 8

define i64 @kept() #0 {
entry:
  %field = getelementptr inbounds %struct.pair, ptr @callbacks, i32 0, i32 1
  %kept = load i64, ptr %field, align 8
  ret i64 %kept
}

define i64 @through(ptr noundef %function, ptr noundef %pair) #0 {
entry:
  %own = alloca ptr, align 8
  store ptr %pair, ptr %own, align 8
  %again = load ptr, ptr %own, align 8
  %result = call i64 %function(ptr noundef %again, i32 noundef 2)
  ret i64 %result
}

define ptr @pointer_to_sum() #0 {
entry:
  ret ptr @sum
}

declare i32 @unheard_of(i32)

!named = !{!1}
!1 = distinct !DICompositeType(tag: DW_TAG_structure_type, name: "pair", size: 128, elements: !2)
!2 = !{!3, !4}
!3 = !DIDerivedType(tag: DW_TAG_member, name: "small", baseType: !5, size: 32)
!4 = !DIDerivedType(tag: DW_TAG_member, name: "large", baseType: !5, size: 64, offset: 64)
!5 = !DIBasicType(name: "int", size: 32)
